"""What only a GPU can show, in three parts of about four minutes each, every one of them useful alone.

    python benchmarks/gpu.py OUTPUT [--part right|recording|learning] [--minilm PATH] [--dry-run]

right      a GPU that is not there; a student of the CPU and one of the GPU; full memory; memory over time; tests
recording  texts a second of a BERT-base of random weights, and of a given teacher, by batch size and precision
learning   words a second of `tiny`, of a tiny transformer that learns layers, and of one with a mixed vocabulary

Writes OUTPUT/gpu.json after each step, and leaves out the steps that are in there: it goes on where it was cut off. A
step that failed is in there with its error, and is tried again. `--dry-run` does everything on the CPU, very small.
docs/gpu.md says how to bring it to a machine without a network.
"""

import json
import logging
import os
import platform
import random
import string
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import numpy
import ours
import spacy
import typer
from spacy.language import Language
from spacy.training import Example
from thinc.api import Config, fix_random_seed, require_cpu

from spacy_tinydistill import distill
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.files import write_whole
from spacy_tinydistill.loop import _Update
from spacy_tinydistill.pipes import precision
from spacy_tinydistill.pipes.device import use_device
from spacy_tinydistill.pipes.pipeline import load_teacher
from spacy_tinydistill.prepare import Run
from spacy_tinydistill.report.machine import describe_machine, installed_versions
from spacy_tinydistill.student.config import student_config

ROOT = Path(__file__).parent.parent
FILE_NAME = "gpu.json"
PIPES = ("tagger", "parser", "ner")


class Part(StrEnum):
    """One call of the script."""

    RIGHT = "right"
    RECORDING = "recording"
    LEARNING = "learning"


@dataclass(frozen=True)
class Sizes:
    """How much is done: on a GPU, and in a dry run."""

    teacher: dict[str, int]  # Of transformers.BertConfig
    texts: int
    batch_sizes: tuple[int, ...]  # Texts at once
    updates: int
    matrix: int  # Rows and columns of the product by which the card's rate is measured


FULL = Sizes(
    teacher={"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    texts=12_000, batch_sizes=(64, 256, 1024), updates=60, matrix=8192,
)  # fmt: skip
DRY = Sizes(
    teacher={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    texts=24, batch_sizes=(8,), updates=2, matrix=64,
)  # fmt: skip


def main(
    output: Annotated[Path, typer.Argument(help="The folder to write to")],
    part: Annotated[Part | None, typer.Option(help="By default all, one after another")] = None,
    minilm: Annotated[Path | None, typer.Option(help="A real teacher, to be recorded too")] = None,
    dry_run: Annotated[bool, typer.Option(help="On the CPU, very small")] = False,
    seconds: Annotated[int, typer.Option(help="No step of a part begins later than this")] = 240,
) -> None:
    """Take the steps that have not been taken."""
    output.mkdir(parents=True, exist_ok=True)
    room = Room(output, DRY if dry_run else FULL, -1 if dry_run else 0, minilm)
    steps = list_steps(room)
    for chosen in [part] if part else list(Part):
        end = time.monotonic() + seconds
        for name, take in steps[chosen].items():
            key = f"{chosen.value}: {name}"
            if "error" not in room.told.get(key, {"error": ""}):
                continue
            if time.monotonic() > end:
                print(f"{key}: no time left", flush=True)
                continue
            start = time.monotonic()
            try:
                found = take()
            except Exception:
                found = {"error": traceback.format_exc()}
            room.tell(key, found | {"seconds": time.monotonic() - start})
    if failed := [key for key, found in room.told.items() if "error" in found]:
        sys.exit(f"Failed: {', '.join(failed)}")


def list_steps(room: "Room") -> dict[Part, dict[str, Callable[[], dict[str, Any]]]]:
    """Name the steps of each part, those first that are worth most."""
    recording: dict[str, Callable[[], dict[str, Any]]] = {"matrices": partial(measure_matrices, room)}
    teachers = {"bert-base": room.teacher_path} | ({"minilm": str(room.minilm)} if room.minilm else {})
    for teacher, path in teachers.items():
        for size in room.sizes.batch_sizes:
            for bits in ("bfloat16", "float32"):
                name = f"{teacher}, {size} texts, {bits}"
                recording[name] = partial(measure_recording, room, path, size, bits)
    return {
        Part.RIGHT: {
            "machine": partial(describe, room),
            "no such gpu": refuse_gpu,
            "same student": partial(compare_students, room),
            "full memory": partial(fill_memory, room),
            "memory over time": partial(watch_memory, room),
            "tests": partial(run_tests, room),
        },
        Part.RECORDING: recording,
        Part.LEARNING: {
            name: partial(measure_learning, room, name) for name in ("tiny", "transformer-layers", "mixed-vocabulary")
        },
    }


class Room:
    """What the steps share: teacher, texts, and what was measured so far."""

    def __init__(self, output: Path, sizes: Sizes, gpu_id: int, minilm: Path | None) -> None:
        self.output = output
        self.sizes = sizes
        self.gpu_id = gpu_id
        self.minilm = minilm
        path = output / FILE_NAME
        self.told: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf8")) if path.exists() else {}
        self.texts = make_texts(sizes.texts)

    def tell(self, key: str, found: dict[str, Any]) -> None:
        """Print and keep what a step found."""
        self.told[key] = found
        write_whole(self.output / FILE_NAME, json.dumps(self.told, indent=1).encode())
        print(key, json.dumps(found), flush=True)

    @property
    def teacher_path(self) -> str:
        """A BERT of random weights."""
        path = self.output / "teacher"
        if not path.exists():
            make_teacher(path, self.sizes.teacher, self.texts)
        return str(path)

    @cached_property
    def texts_path(self) -> Path:
        """The texts, one a line."""
        path = self.output / "texts.txt"
        path.write_text("\n".join(self.texts), encoding="utf8")
        return path

    def prepare(self, teacher: str, config: Config, name: str) -> Run:
        """Load a teacher and start a student on the device."""
        path = self.output / f"{name}.cfg"
        config.to_disk(path)
        return Run(teacher, self.texts_path, path, {}, self.gpu_id).prepare()


# Texts and teachers


def make_texts(count: int) -> list[str]:
    """Make texts of 5 to 60 words, drawn as in a language: few words are most of it."""
    numbers = random.Random(0)
    words = ["".join(numbers.choices(string.ascii_lowercase, k=numbers.randint(2, 9))) for _ in range(3000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    return [" ".join(numbers.choices(words, weights, k=numbers.randint(5, 60))) + "." for _ in range(count)]


def make_teacher(path: Path, shape: dict[str, int], texts: list[str]) -> None:
    """Write a pipeline on a BERT of random weights, whose pipes say something of every word."""
    import transformers

    require_cpu()
    fix_random_seed(0)
    letters = [*string.ascii_lowercase, *string.punctuation]
    words = sorted({word.strip(".") for text in texts for word in text.split()} - {*letters})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    # Of every other word: the rest are read in letters, so that a word has some pieces, as in a real teacher.
    pieces += words[::2]
    folder = path.with_name("hugging-face")
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(pieces), **shape)).save_pretrained(folder)
    nlp = spacy.blank("xx")
    spans = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 128, "stride": 96}
    model = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": str(folder), "get_spans": spans}
    nlp.add_pipe("transformer", config={"model": model})
    pooling = {"@layers": "reduce_mean.v1"}
    listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0, "pooling": pooling}
    for name in PIPES:
        settings = {"min_action_freq": 1} if name == "parser" else {}
        nlp.add_pipe(name, config={"model": {"tok2vec": listener}, **settings})
    nlp.initialize(lambda: [_annotate(nlp, text) for text in texts[:10]])
    numbers = numpy.random.default_rng(0)
    for name, layer in (("tagger", "output_layer"), ("parser", "upper"), ("ner", "upper")):
        node = nlp.get_pipe(name).model.get_ref(layer)  # type: ignore[attr-defined]
        for key in node.param_names:
            node.set_param(key, numbers.normal(size=node.get_param(key).shape).astype("float32"))
    nlp.to_disk(path)


def _annotate(nlp: Language, text: str) -> Example:
    doc = nlp.make_doc(text)
    tags = [f"T{len(token) % 5}" for token in doc]
    heads, deps = [max(0, i - 1) for i in range(len(doc))], ["ROOT" if i == 0 else "dep" for i in range(len(doc))]
    names = ["U-NAME" if len(token) == 7 else "O" for token in doc]
    return Example.from_dict(doc, {"tags": tags, "heads": heads, "deps": deps, "entities": names})


# The first part: whether all is right


def describe(room: Room) -> dict[str, Any]:
    """Say which machine this is."""
    return {
        "machine": describe_machine(room.gpu_id),
        "versions": installed_versions(),
        "python": platform.python_version(),
    }


def refuse_gpu() -> dict[str, Any]:
    """See that a GPU that is not there is refused by number."""
    try:
        use_device(99)
    except DistillationError as error:
        return {"code": error.code, "said": str(error)}
    raise RuntimeError("GPU 99 was not refused")


def compare_students(room: Room) -> dict[str, Any]:
    """Distil the same student on the CPU and on the GPU: their scores are to be within 0.3 points."""
    scores = {}
    for device, gpu_id in (("cpu", -1), ("gpu", room.gpu_id)):
        require_cpu()
        overrides = _short(room) | {"distillation.max_steps": room.sizes.updates}
        texts = room.texts[:400]
        folder = room.output / f"student-{device}"
        student = distill(room.teacher_path, texts, output=folder, overrides=overrides, gpu_id=gpu_id, force=True)
        scores[device] = {k: v for k, v in student.meta["distillation"]["agreement"].items() if isinstance(v, float)}
    apart = {name: 100 * abs(value - scores["gpu"][name]) for name, value in scores["cpu"].items()}
    return {"scores": scores, "points_apart": apart, "within": max(apart.values()) <= 0.3}


def fill_memory(room: Room) -> dict[str, Any]:
    """Learn a batch that does not fit into memory: it is learned in parts."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("spacy")
    logger.addHandler(handler)
    overrides = _short(room) | {"distillation.max_steps": 1, "distillation.batcher.size": 100_000}
    try:
        with _little_memory(room):
            folder = room.output / "student-full"
            distill(
                room.teacher_path, room.texts[:2000], output=folder, overrides=overrides, gpu_id=room.gpu_id, force=True
            )
    finally:
        logger.removeHandler(handler)
    halved = [text for text in said if "parts of half the size" in text]
    assert halved, "memory was large enough"
    return {"said": halved}


@contextmanager
def _little_memory(room: Room) -> Iterator[None]:
    """Leave little memory to updates; in a dry run, batches of more than four texts do not fit."""
    learn = _Update.learn_from_teacher

    def learn_with_little(self: _Update, batch: list[Any]) -> None:
        if room.gpu_id < 0 and len(batch) > 4:
            raise MemoryError
        if room.gpu_id >= 0:
            import cupy
            import torch

            free, total = cupy.cuda.runtime.memGetInfo()
            torch.cuda.set_per_process_memory_fraction(min(1.0, (total - free + 2**28) / total))
            cupy.get_default_memory_pool().set_limit(size=cupy.get_default_memory_pool().used_bytes() + 2**28)
        learn(self, batch)

    _Update.learn_from_teacher = learn_with_little  # type: ignore[method-assign]
    try:
        yield
    finally:
        _Update.learn_from_teacher = learn  # type: ignore[method-assign]
        if room.gpu_id >= 0:
            import cupy
            import torch

            torch.cuda.set_per_process_memory_fraction(1.0)
            cupy.get_default_memory_pool().set_limit(size=0)


def watch_memory(room: Room) -> dict[str, Any]:
    """Record the same texts again and again: what is in use afterwards is to stay the same."""
    run = room.prepare(room.teacher_path, _config(room, "tiny"), "memory")
    records = ours.list_texts(run)[: len(room.texts) // 4]
    used = []
    for turn in range(4):
        ours.record_all(run, records, room.output / f"memory-{turn}-{os.getpid()}")
        used.append(_memory_in_use(room))
    return {"bytes": used, "growth": used[-1] - used[1]}


def _memory_in_use(room: Room) -> int:
    if room.gpu_id < 0:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import cupy

    free, total = cupy.cuda.runtime.memGetInfo()
    return total - free


def run_tests(room: Room) -> dict[str, Any]:
    """Run the tests that need a GPU; without one they skip."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/teacher/test_recorder.py"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    return {"said": result.stdout.strip().splitlines()[-1]}


# The second part: recording


def measure_matrices(room: Room) -> dict[str, Any]:
    """Measure the rate at which PyTorch multiplies matrices in bfloat16, in operations a second."""
    import torch

    device = "cpu" if room.gpu_id < 0 else f"cuda:{room.gpu_id}"
    size = room.sizes.matrix
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))

    def multiply(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            left @ right
        if room.gpu_id >= 0:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    multiply(3)
    return {"operations_per_second": 2 * size**3 * 10 / multiply(10)}


def measure_recording(room: Room, teacher: str, batch_size: int, bits: str) -> dict[str, Any]:
    """Record all texts: texts and words a second, and which share of the card's rate the transformer reaches."""
    run = room.prepare(teacher, _config(room, "tiny", teacher), "recording")
    assert run.teacher is not None
    run.teacher.batch_size = batch_size
    records = ours.list_texts(run)
    first = precision.FIRST_CAPABILITY
    # No GPU is of such a generation.
    precision.FIRST_CAPABILITY = first if bits == "bfloat16" else (99, 0)
    try:
        name = f"recording-{len(room.told)}-{os.getpid()}"
        ours.record_all(run, records[: len(records) // 10], room.output / f"{name}-warm")
        start = time.perf_counter()
        ours.record_all(run, records, room.output / name)
        seconds = time.perf_counter() - start
    finally:
        precision.FIRST_CAPABILITY = first
    rate = _operations(run.teacher, room.texts) / seconds
    most = room.told.get("recording: matrices", {}).get("operations_per_second")
    words = sum(map(len, records))
    return {
        "texts_per_second": len(records) / seconds,
        "words_per_second": words / seconds,
        "operations_per_second": rate,
        "share_of_matrices": rate / most if most else None,
    }


def _operations(teacher: Language, texts: list[str]) -> float:
    """Count the multiplications and additions in the transformer's layers for some texts, without padding."""
    model: Any = teacher.get_pipe("transformer").model  # type: ignore[attr-defined]
    config = model.transformer.config
    width, inner = config.hidden_size, config.intermediate_size
    lengths = [len(ids) for ids in model.tokenizer(texts)["input_ids"]]
    dense = 2 * (4 * width**2 + 2 * width * inner) * sum(lengths)
    attention = 4 * width * sum(length**2 for length in lengths)
    return float(config.num_hidden_layers * (dense + attention))


# The third part: learning


def measure_learning(room: Room, kind: str) -> dict[str, Any]:
    """Learn from a store for two epochs: words a second of the second one, in which all is warm."""
    run = room.prepare(room.teacher_path, _config(room, kind), kind)
    records = ours.list_texts(run)[:4000]
    store = ours.record_all(run, records, room.output / f"store-{kind}-{os.getpid()}")
    seconds = ours.train_from_store(run, store)
    return {"words_per_second": sum(map(len, records)) / seconds[-1], "epochs": seconds}


def _config(room: Room, kind: str, teacher: str | None = None) -> Config:
    """Make a student's config, which trains for two epochs."""
    source = load_teacher(teacher or room.teacher_path)
    pipes = [name for name in PIPES if name in source.pipe_names]
    config = student_config(source, size="tiny", pipeline=pipes)
    config["distillation"] |= {"max_epochs": 2, "max_steps": ours.FAR_AWAY}
    config["training"] |= _quiet() | {"eval_frequency": ours.FAR_AWAY}
    if kind != "tiny":
        width = 128
        shape = {
            "layers": 2,
            "width": width,
            "heads": 2,
            "intermediate_width": 512,
            "vocab_size": 5000,
            "max_length": 128,
        }
        config["components"]["tok2vec"]["model"] = {"@architectures": "spacy-tinydistill.TinyTransformer.v1", **shape}
        for name in pipes:
            config["components"][name]["model"]["tok2vec"]["width"] = width
        rule = {"@teaching_rules": "spacy-tinydistill.TransformerLayers.v1", "attention_weight": 0.0}
        config["distillation"]["teaching"] = {"tok2vec": rule}
        callbacks = {"teacher": room.teacher_path}
        if kind == "mixed-vocabulary":
            config["initialize"]["before_init"] = {
                "@callbacks": "spacy-tinydistill.TrainPieces.v1", "path": str(room.texts_path),
            }  # fmt: skip
            config["initialize"]["after_init"] = {"@callbacks": "spacy-tinydistill.MixedVocabulary.v1", **callbacks}
        else:
            config["initialize"]["before_init"] = {"@callbacks": "spacy-tinydistill.TeacherPieces.v1", **callbacks}
    return config


def _short(room: Room) -> dict[str, Any]:
    """Settings of a run that evaluates at its end alone, and prints nothing."""
    return {f"training.{key}": value for key, value in _quiet().items()} | {"training.eval_frequency": ours.FAR_AWAY}


def _quiet() -> dict[str, Any]:
    return {"logger": {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": None, "console_output": False}}


if __name__ == "__main__":
    typer.run(main)
