"""Several teachers as one: each was recorded by itself, and their targets are averaged when they are read."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..components.base import Average
from ..components.registry import find_rule
from ..errors import DistillationError
from ..targets.records import Record, Role, Targets
from ..targets.store import Header, Manifest, Shard, Store


@dataclass(frozen=True)
class Ensemble:
    """How several teachers are averaged."""

    header: Header  # Of the one that they are together: but for what is averaged, the first one's
    averages: dict[str, Average]  # By student pipe


class EnsembleStore(Store):
    """Reads the stores of several teachers as one store. Annotations to score against are the first teacher's."""

    def __init__(self, stores: Sequence[Store], weights: Sequence[float]) -> None:
        """Combine the stores of several teachers.

        Args:
            stores: Stores of the same texts.
            weights: How much each teacher counts; they sum to 1.

        Raises:
            DistillationError: TD633 or TD634, they have different texts or pipes; TD220, TD221 or TD222, the teachers
                do not fit together.
        """
        first = stores[0]
        for other in stores[1:]:
            if [shard.text for shard in other.manifest.shards] != [shard.text for shard in first.manifest.shards]:
                raise DistillationError("TD633", path=first.path, other=other.path)
            if other.header.lessons.keys() != first.header.lessons.keys():
                found = ", ".join(other.header.lessons)
                expected = ", ".join(first.header.lessons)
                raise DistillationError("TD634", path=other.path, first=first.path, found=found, expected=expected)
        self.stores = stores
        self.path = first.path
        self.folder = first.folder
        ensemble = make_ensemble([store.header for store in stores], weights)
        self.header, self._averages = ensemble.header, ensemble.averages
        self.manifest = _join([store.manifest for store in stores], self.header.fingerprint)

    def read(self, *roles: Role, shuffle: random.Random | None = None) -> Iterator[Record]:
        """Read like `Store.read`, with averaged targets."""
        # Each store draws the same numbers, for the same order.
        state = shuffle and shuffle.getstate()
        readers = [self.stores[0].read(*roles, shuffle=shuffle)]
        for store in self.stores[1:]:
            numbers = None
            if state:
                numbers = random.Random()
                numbers.setstate(state)
            readers.append(store.read(*roles, shuffle=numbers))
        for records in zip(*readers, strict=True):
            yield replace(records[0], targets=self._average([record.targets for record in records]))

    def _average(self, said: Sequence[Targets]) -> Targets:
        """Average the targets of a Doc. A pipe for which a teacher gave none gets none."""
        return {
            name: average([targets[name] for targets in said])
            for name, average in self._averages.items()
            if all(name in targets for targets in said)
        }


def join_stores(stores: Sequence[Store], weights: Sequence[float]) -> Store:
    """Make one store of those of one or several teachers; see `EnsembleStore`."""
    return stores[0] if len(stores) == 1 else EnsembleStore(stores, weights)


def make_ensemble(headers: Sequence[Header], weights: Sequence[float]) -> Ensemble:
    """Make one teacher of several.

    Args:
        headers: The header of each teacher's store, all for the same student pipes.
        weights: The weight of each teacher; they sum to 1.

    Raises:
        DistillationError: TD220, TD221 or TD222, they do not fit together.
    """
    first = headers[0]
    if len(headers) == 1:
        return Ensemble(first, {})
    lessons, averages = {}, {}
    for name, lesson in first.lessons.items():
        for other in headers[1:]:
            # Rules that average in the same way record the same.
            if type(find_rule(other.lessons[name].rule)).average is not type(find_rule(lesson.rule)).average:
                raise DistillationError(
                    "TD221", pipe=name, first=lesson.rule, teacher=other.profile.name, other=other.lessons[name].rule
                )
        descriptions = [header.lessons[name].description for header in headers]
        description, averages[name] = find_rule(lesson.rule).average(name, descriptions, weights)
        lessons[name] = replace(lesson, description=description)
    said = "\n".join(f"{weight:.6f} {header.fingerprint}" for header, weight in zip(headers, weights, strict=True))
    return Ensemble(Header(hashlib.sha256(said.encode()).hexdigest(), first.profile, lessons), averages)


def _join(manifests: Sequence[Manifest], fingerprint: str) -> Manifest:
    """List what there is of all; what each said, of the one that said least."""
    shards = [_least(shards) for shards in zip(*(manifest.shards for manifest in manifests), strict=True)]
    return replace(manifests[0], fingerprint=fingerprint, shards=shards)


def _least(shards: Sequence[Shard]) -> Shard:
    said = [shard.said for shard in shards]
    if any(counts is None for counts in said):
        return replace(shards[0], said=None)
    pipes = {name for counts in said for name in counts or {}}
    return replace(
        shards[0], said={name: min((counts or {}).get(name, 0) for counts in said) for name in sorted(pipes)}
    )
