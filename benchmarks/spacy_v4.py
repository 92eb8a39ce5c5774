"""spaCy v4's side: teach a student with `Language.distill`; runs with an interpreter of its own, which has spaCy 4.

    python benchmarks/spacy_v4.py JOB.json

The file holds the arguments of `distill`; the answer is the last line of stdout, JSON.
"""

import json
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.loop import _distill_loop, create_distill_batches
from spacy.util import registry
from thinc.api import fix_random_seed

FAR_AWAY = 1_000_000


def main(job: Path) -> None:
    """Do the job and print its answer."""
    answer = distill(**json.loads(job.read_text(encoding="utf8")))
    packages = ("spacy", "thinc", "numpy", "torch", "spacy-curated-transformers")
    versions = {package: version(package) for package in packages if package == "spacy" or _is_installed(package)}
    print(json.dumps({**answer, "versions": versions}))


def distill(
    texts: str,
    teacher: dict[str, Any],
    student: dict[str, Any],
    labels: dict[str, str],
    transformer: dict[str, Any] | None,
    distillation: dict[str, Any],
) -> dict[str, Any]:
    """Teach a student; return the seconds of each epoch.

    Args:
        texts: A file of JSONL, a tokenized text a line: `words` and `spaces`.
        teacher: The `[components]` of its config; it gets random weights.
        student: Likewise.
        labels: By pipe, a file with what it can say.
        transformer: The shape of the teacher's transformer, where it has one, and `vocab`, a file of word pieces.
        distillation: `batcher`, `optimizer`, `dropout` and `max_epochs` of a `[distillation]` block.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    lines = [json.loads(line) for line in Path(texts).read_text(encoding="utf8").splitlines()]
    initialize: dict[str, Any] = {name: {"labels": _file_of_labels(path)} for name, path in labels.items()}
    if transformer:
        teacher = with_curated_transformer(teacher, transformer)
        initialize["transformer"] = {"piecer_loader": _file_of_pieces(transformer)}
    teacher_nlp = make_pipeline(teacher, initialize)
    randomize(teacher_nlp)
    student_nlp = make_pipeline(student, initialize)
    encoders = [
        next((name for name in pipes if name in ("tok2vec", "transformer")), None) for pipes in (student, teacher)
    ]
    settings = registry.resolve({"distillation": distillation})["distillation"]

    def read(nlp: Language) -> Iterable[Example]:
        for line in lines:
            yield Example(Doc(nlp.vocab, **line), Doc(nlp.vocab, **line))

    steps = _distill_loop(
        teacher_nlp,
        student_nlp,
        settings["optimizer"],
        create_distill_batches(student_nlp, read, settings["batcher"], settings["max_epochs"]),
        lambda: (0.0, {}),
        dropout=settings["dropout"],
        eval_frequency=FAR_AWAY,
        accumulate_gradient=1,
        max_steps=0,
        exclude=[],
        annotating_components=[],
        before_update=None,
        student_to_teacher=dict([encoders]) if all(encoders) else {},
    )
    times = {-1: perf_counter()}
    for _, info, _ in steps:
        times[info["epoch"]] = perf_counter()
    seconds = [times[epoch] - times[epoch - 1] for epoch in range(len(times) - 1)]
    return {"words": sum(len(line["words"]) for line in lines), "epochs": seconds}


def make_pipeline(components: dict[str, Any], initialize: dict[str, Any]) -> Language:
    """Make an initialized pipeline of a config's `[components]` and `[initialize.components]`."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    for name, settings in components.items():
        config = {key: value for key, value in settings.items() if key not in ("factory", "scorer")}
        known = nlp.get_factory_meta(settings["factory"]).default_config
        nlp.add_pipe(settings["factory"], name=name, config={key: config[key] for key in config if key in known})
    nlp.config["initialize"]["components"] = {name: initialize[name] for name in components if name in initialize}
    doc = Doc(nlp.vocab, words=["This", "is", "a", "text", "."])
    nlp.initialize(lambda: [Example(doc, doc)])
    return nlp


def with_curated_transformer(components: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    """Put spacy-curated-transformers in the place of spacy-transformers."""
    encoder = {
        "factory": "curated_transformer",
        "model": {
            "@architectures": "spacy-curated-transformers.BertTransformer.v2",
            "vocab_size": shape["vocab_size"],
            "hidden_width": shape["width"],
            "intermediate_width": shape["intermediate_width"],
            "num_attention_heads": shape["heads"],
            "num_hidden_layers": shape["layers"],
            "piece_encoder": {"@architectures": "spacy-curated-transformers.BertWordpieceEncoder.v1"},
            "with_spans": {
                "@architectures": "spacy-curated-transformers.WithStridedSpans.v1",
                "window": shape["window"],
                "stride": shape["stride"],
            },
        },
    }
    listener = {
        "@architectures": "spacy-curated-transformers.LastTransformerLayerListener.v1",
        "width": shape["width"],
        "pooling": {"@layers": "reduce_mean.v1"},
        "upstream": "transformer",
    }
    return {
        name: encoder
        if settings["factory"] == "transformer"
        else {**settings, "model": {**settings["model"], "tok2vec": listener}}
        for name, settings in components.items()
    }


def randomize(nlp: Language) -> None:
    """Move every weight: output layers begin with zeros, and would say the same of every token."""
    numbers = numpy.random.default_rng(0)
    for _, pipe in nlp.pipeline:
        for node in pipe.model.walk():
            for name in node.param_names:
                if node.has_param(name):
                    value = node.get_param(name)
                    node.set_param(name, value + numbers.normal(scale=0.05, size=value.shape).astype("float32"))


def _file_of_labels(path: str) -> dict[str, Any]:
    return {"@readers": "spacy.read_labels.v1", "path": path, "require": True}


def _file_of_pieces(shape: dict[str, Any]) -> dict[str, Any]:
    loader = "spacy-curated-transformers.WordpieceLoader.v1"
    return {"@model_loaders": loader, "path": shape["vocab"], "lowercase": shape["lowercase"]}


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except ImportError:
        return False


if __name__ == "__main__":
    main(Path(sys.argv[1]))
