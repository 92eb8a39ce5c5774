"""The pages on which an exported student can be tried: files that work without a network."""

import base64
import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True)
class Trial:
    """The part of a page in which a student is tried."""

    html: Markup  # To stand in an element of the class "trial", once in a page
    style: str
    # What a content security policy allows beside 'wasm-unsafe-eval': "sha256-..." of each script.
    script_hashes: list[str]
    megabytes: float


def make_trial(data: bytes, examples: list[str]) -> Trial:
    """Make the part of a page in which a student is tried.

    Args:
        data: The data file.
        examples: Texts to begin with.
    """
    runtime, script = read_runtime(), _read("trial.js")
    html = _render(
        "trial.html.jinja",
        examples=examples,
        runtime=Markup(runtime),
        script=Markup(script),
        data=Markup(base64.b64encode(data).decode()),
    )
    return Trial(Markup(html), _read("trial.css"), [_hash_of(runtime), _hash_of(script)], len(data) / 1e6)


def make_page(data: bytes, answers: list[dict[str, Any]], meta: dict[str, Any], examples: list[str]) -> str:
    """Make the page of an export.

    Args:
        data: The data file.
        answers: What spaCy says of the self-test's texts.
        meta: The student's.
        examples: Texts to begin with.

    Returns:
        HTML. Its content security policy names each script and style by its hash, and allows nothing else: no network.
    """
    trial = make_trial(data, examples)
    script = _read("page.js")
    style = _read("page.css") + trial.style
    return _render(
        "page.html.jinja",
        meta=meta,
        trial=trial.html,
        script=Markup(script),
        style=Markup(style),
        script_hashes=[*trial.script_hashes, _hash_of(script)],
        style_hash=_hash_of(style),
        # In a block that is no script; "<" could end it.
        answers=Markup(json.dumps(answers, ensure_ascii=True).replace("<", "\\u003c")),
        megabytes=trial.megabytes,
    )


def read_runtime() -> str:
    """Read the JavaScript package as one classic script, which defines `tinydistill`; `web/build.mjs` makes it."""
    return _read("runtime.js")


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf8")


def _render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("spacy_tinydistill.web", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(**values)


def _hash_of(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
