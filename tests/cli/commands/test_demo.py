"""A guided first trace."""

from common.two_parents import invoke
from conftest import family_path


def test_demo_explains_a_blend_and_a_fine_tune(capsys):
    status, out, err = invoke(capsys, "demo")
    assert (status, err) == (0, "")
    assert out.index("merge") < out.index("fine-tune") < out.index("parentage trace")
    places = [out.index(lead) for lead in ("1. Look.", "2. Trace.", "3. Doubt.", "4. Go on.")]
    assert places == sorted(places)
    # Numbers are those of the family, and what is to be typed names it.
    assert "0.60" in out
    assert str(family_path("child")) in out
