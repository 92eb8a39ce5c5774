"""The page on which an exported student can be tried: one file, which works without a network."""

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

TEMPLATE = "page.html.jinja"


def make_page(data: bytes, answers: list[dict[str, Any]], meta: dict[str, Any], examples: list[str]) -> str:
    """Make the page.

    Args:
        data: The data file.
        answers: What spaCy says of the self-test's texts.
        meta: The student's.
        examples: Texts to begin with.

    Returns:
        HTML. Its content security policy names each script and style by its hash, and allows nothing else: no network.
    """
    environment = Environment(
        loader=PackageLoader("spacy_tinydistill.web", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    runtime = read_runtime()
    script = files(__package__).joinpath("page.js").read_text(encoding="utf8")
    style = files(__package__).joinpath("page.css").read_text(encoding="utf8")
    return environment.get_template(TEMPLATE).render(
        meta=meta,
        examples=examples,
        runtime=Markup(runtime),
        script=Markup(script),
        style=Markup(style),
        script_hashes=[_hash_of(runtime), _hash_of(script)],
        style_hash=_hash_of(style),
        data=Markup(base64.b64encode(data).decode()),
        # In a block that is no script; "<" could end it.
        answers=Markup(json.dumps(answers, ensure_ascii=True).replace("<", "\\u003c")),
        megabytes=len(data) / 1e6,
    )


def read_runtime() -> str:
    """Read the JavaScript package as one classic script, which defines `tinydistill`; `web/build.mjs` makes it."""
    return files(__package__).joinpath("runtime.js").read_text(encoding="utf8")


def _hash_of(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
