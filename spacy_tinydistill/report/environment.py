"""What a pipeline's package requires, and what else is installed here that its user need not have.

Thinc imports PyTorch wherever it is installed. So a student that is measured beside its teacher's libraries takes
several times the memory and time to load that it takes where it is used.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, packages_distributions, requires
from pathlib import Path
from typing import Any

import spacy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from spacy.cli.package import get_third_party_dependencies
from spacy.util import get_package_path, is_package, load_config, load_meta


def list_unneeded(pipeline: str) -> dict[str, list[str]]:
    """List what is installed and not required by a pipeline.

    Args:
        pipeline: An installed package or a folder.

    Returns:
        `distributions`, by their normalized names, and `modules`, the top-level names that only these have.
    """
    needed = close_requirements(_requirements(pipeline))
    return {
        "distributions": sorted(_installed() - needed),
        "modules": sorted(
            module
            for module, owners in _owners().items()
            if not needed & {canonicalize_name(owner) for owner in owners}
        ),
    }


def close_requirements(requirements: Iterable[str]) -> set[str]:
    """List the distributions that requirements lead to, by their normalized names, as pip would install them."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = list(_parse(requirements, {""}))
    while waiting:
        name, extras = waiting.pop()
        found.add(name)
        # An extra of something that was found before may require more.
        new = {extra for extra in ("", *extras) if (name, extra) not in seen}
        seen |= {(name, extra) for extra in new}
        if new:
            try:
                waiting += _parse(requires(name) or [], new)
            except PackageNotFoundError:
                continue
    return found


def _parse(requirements: Iterable[str], extras: set[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def _requirements(pipeline: str) -> list[str]:
    """Name spaCy, and what `spacy package` writes into a wheel's metadata."""
    folder = get_package_path(pipeline) if is_package(pipeline) else Path(pipeline)
    meta: dict[str, Any] = load_meta(folder / "meta.json")
    own = [pipeline] if is_package(pipeline) else []
    # The folder of an installed package is its module's, and the config is a level deeper.
    config = folder / "config.cfg"
    # spaCy registers its own pipes with the first pipeline that is made.
    spacy.blank("xx")
    used = get_third_party_dependencies(load_config(config)) if config.exists() else []
    return ["spacy", *own, *meta.get("requirements", []), *used]


@cache
def _installed() -> frozenset[str]:
    return frozenset(canonicalize_name(one.metadata["Name"]) for one in distributions() if one.metadata["Name"])


@cache
def _owners() -> dict[str, list[str]]:
    # It reads the files of everything that is installed, which takes a second.
    return dict(packages_distributions())
