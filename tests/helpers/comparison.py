"""What two runs are compared by."""

from pathlib import Path

import numpy
from thinc.api import Config, Model

from spacy_tinydistill.targets.store import (
    read_manifest,
)


def files_of(folder: Path) -> dict[str, bytes]:
    """All that a pipeline is, but for its meta, which holds how fast it was, and for who was to kill it."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "meta.json"
    }
    if "distill.cfg" in files:
        config = Config().from_bytes(files["distill.cfg"], interpolate=False)
        del config["training"]["before_update"]
        files["distill.cfg"] = config.to_bytes()
    return files


def weights_of(nlp) -> dict[str, numpy.ndarray]:
    return {
        f"{pipe_name}.{i}.{name}": node.get_param(name)
        for pipe_name, pipe in nlp.pipeline
        if isinstance(getattr(pipe, "model", None), Model)
        for i, node in enumerate(pipe.model.walk())
        for name in node.param_names
        if node.has_param(name)
    }


def assert_same_stores(one: Path, other: Path) -> None:
    assert read_manifest(one) == read_manifest(other)
    for shard in read_manifest(other).shards:
        assert (one / shard.file).read_bytes() == (other / shard.file).read_bytes()


def count_shards(path: Path) -> int:
    return len(list(path.glob("shard-*.arrow")))
