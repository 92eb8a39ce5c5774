"""The comparison of a student with its teacher, from data on disk to a report of plain JSON types."""

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.util import is_package
from spacy.vocab import Vocab

from ..corpus import read_texts
from ..device import use_device
from ..errors import DistillationError
from ..user_code import import_user_code
from .machine import describe_machine, installed_versions
from .scores import ratio, score_pipelines
from .size import bytes_on_disk, count_parameters
from .speed import measure_speed

REPORT_FILE = "report.json"


def compare(
    teacher: str | Path,
    student: str | Path,
    data: str | Path,
    *,
    output: str | Path | None = None,
    max_words: int = 20_000,
    gpu_id: int = -1,
    code: str | Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Measure how much of its teacher a student retains, and what it saves.

    Args:
        teacher: Path or installed package of the big pipeline.
        student: Path or installed package of the small one.
        data: Documents with gold annotations (.spacy), or texts alone (.jsonl with "text", .txt with a text a
            line): those give agreement and no scores.
        output: Folder to write report.json to; it is made if need be. None writes nothing.
        max_words: The most words in a timed pass; see `speed.measure_speed` for how speed is measured.
        gpu_id: GPU to score on, and to time on as well; -1 for the CPU.
        code: Python file with registered functions that the pipelines need.
        force: Replace a report that is there already.

    Returns:
        `teacher` and `student`: each `name`, `version`, `path`, `pipeline`, `scores`, `words_per_second`,
        `words_per_second_runs`, `all_cores`, `load_seconds`, `load_seconds_runs`, `peak_memory` (bytes),
        `bytes` (on disk), `parameters`. Then `retention` and `agreement` by score, `pipes` (the scores of
        each pipe), `speed_up` (student's words per second over teacher's), `compression` (teacher's bytes
        over student's), `timing` (what a timed pass was), `data`, `machine`, `versions`, `date` (UTC),
        `command`.

    Raises:
        DistillationError: TD401 to TD413: a pipeline, the data, the code, the GPU or the output is not to be
        had.
    """
    names = {"teacher": str(teacher), "student": str(student)}
    data, code = Path(data), Path(code) if code is not None else None
    report_path = _prepare_output(Path(output), force) if output is not None else None
    texts, gold = _read_data(data)
    for role, name in names.items():
        _require_pipeline(role, name)
    if code is not None:
        import_user_code(code)
    use_device(gpu_id)

    pipelines = {role: _load(role, name) for role, name in names.items()}
    for role, nlp in pipelines.items():
        _require_fitting_texts(role, nlp, texts, data)
    scored = score_pipelines(pipelines["teacher"], pipelines["student"], texts, gold)
    words = [len(pipelines["teacher"].make_doc(text)) for text in texts]
    timed, timing = measure_speed(names, texts, words, max_words=max_words, gpu_id=gpu_id, code=code)

    report: dict[str, Any] = {
        role: {
            "name": f"{nlp.lang}_{nlp.meta['name']}",
            "version": nlp.meta["version"],
            "path": names[role],
            "pipeline": list(nlp.pipe_names),
            "scores": scored[role],
            **timed[role],
            "bytes": bytes_on_disk(nlp.path),
            "parameters": count_parameters(nlp),
        }
        for role, nlp in pipelines.items()
    }
    speeds = {role: report[role]["words_per_second"] for role in pipelines}
    report |= {
        "retention": scored["retention"],
        "agreement": scored["agreement"],
        "pipes": scored["pipes"],
        "speed_up": {key: ratio(speeds["student"][key], speeds["teacher"][key]) for key in speeds["teacher"]},
        "compression": ratio(report["teacher"]["bytes"], report["student"]["bytes"]),
        "timing": timing,
        "data": {"path": str(data), "gold": gold is not None, "documents": len(texts), "words": sum(words)},
        "machine": describe_machine(gpu_id),
        "versions": installed_versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
    }
    if report_path is not None:
        report_path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf8")
    return report


def _prepare_output(folder: Path, force: bool) -> Path:
    """The report's path in a folder that is there; checked before the minutes that the measuring takes."""
    path = folder / REPORT_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and not force:
            raise DistillationError("TD409", path=folder)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DistillationError("TD408", path=folder, reason=_short(error)) from error
    return path


def _read_data(path: Path) -> tuple[list[str], DocBin | None]:
    """The texts, and the gold annotations if the file has some."""
    texts = list(read_texts(path))
    if path.suffix != ".spacy":
        return texts, None
    gold = DocBin()
    for doc in DocBin().from_disk(path).get_docs(Vocab()):
        if doc.text.strip():
            gold.add(doc)
    return texts, gold


def _require_pipeline(role: str, name: str) -> None:
    if not name or not (is_package(name) or Path(name).is_dir()):
        raise DistillationError("TD401", role=role, name=name)


def _load(role: str, name: str) -> Language:
    try:
        return spacy.load(name)
    except Exception as error:  # a missing dependency, a config of another version, a cut-off file, ...
        raise DistillationError("TD402", role=role, name=name, reason=_short(error)) from error


def _require_fitting_texts(role: str, nlp: Language, texts: list[str], path: Path) -> None:
    for number, text in enumerate(texts, start=1):
        if len(text) > nlp.max_length:
            raise DistillationError(
                "TD413", number=number, path=path, length=len(text), role=role, max_length=nlp.max_length
            )


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
