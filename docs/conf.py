"""How Sphinx makes the site of the pages: `make site`."""

from pathlib import Path

from sphinx.application import Sphinx

project = "spacy-tinydistill"
author = "The spacy-tinydistill authors"
extensions = ["myst_parser", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = project

# The pages are written for GitHub: its anchors of headings, and ```math.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_fence_as_directive = ["math"]


def setup(app: Sphinx) -> None:
    """Include pages of the folder above, and have their links lead to the pages of the site."""
    app.connect("include-read", move_links)


def move_links(app: Sphinx, path: Path, docname: str, content: list[str]) -> None:
    """Rewrite the links of an included page, which are relative to the folder above this one."""
    for old, new in (
        ("](docs/", "]("),
        ("](CONTRIBUTING.md", "](contributing.md"),
        ("](LICENSE", "](../LICENSE"),
        ("](CITATION.cff", "](../CITATION.cff"),
        ("](examples/", "](../examples/"),
    ):
        content[0] = content[0].replace(old, new)
