"""Traces in a notebook."""

from html.parser import HTMLParser


class Tags(HTMLParser):
    """Collects the tags of a document."""

    def __init__(self):
        super().__init__()
        self.tags = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not attrs


def test_names_can_put_no_markup_into_a_notebook(hostile):
    page = hostile._repr_html_()
    parser = Tags()
    parser.feed(page)
    assert parser.tags <= {"p", "b", "table", "thead", "tbody", "tr", "th", "td", "div", "span"}
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
