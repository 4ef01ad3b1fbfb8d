"""Documents that are read strictly, and a name that must not get into one as it is."""

import json


def strict(text):
    """Parse JSON that holds no NaN and no infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


HOSTILE = "<script>alert(1)<"
