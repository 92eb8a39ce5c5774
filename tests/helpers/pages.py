"""HTML pages, read."""

from html.parser import HTMLParser


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.page = ""
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # Where a label may be broken depends on the label.
        if tag != "wbr":
            self.found.append((tag, tuple(name for name, _ in attrs)))
        for name, value in attrs:
            if name.rpartition(":")[2] in ("href", "src", "action", "data"):
                self.links.append(value or "")
            elif name == "srcdoc":
                self.page = value or ""

    def handle_data(self, data: str) -> None:
        self.text.append(data)
