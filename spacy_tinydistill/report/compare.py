"""Compare a student with its teacher. The report is a dict of JSON types."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.util import is_package
from spacy.vocab import Vocab
from wasabi import msg

from ..components.annotations import decide
from ..corpus import SUFFIXES, list_files, read_texts
from ..errors import DistillationError
from ..evaluation_log import CURVE_NAME, read_curve
from ..files import bytes_on_disk
from ..judge import choose_texts, take_statement
from ..pipes.device import use_device
from ..pipes.labels import Said, list_layers
from ..pipes.pipeline import hint_at_swap
from ..pipes.profile import measure_bytes
from ..user_code import import_user_code
from .against import compare_students
from .annotations import count_confusions, count_labels, read_layers
from .calibration import Reference, calibrate, try_thresholds
from .card import write_meta
from .disagreement import find_disagreements
from .machine import describe_machine, installed_versions
from .model_card import README_NAME, show_usage, write_readme
from .raw_text import compare_raw_text, share_of_pipes
from .report import JSON_NAME, Report, find_tried
from .scores import Side, annotate, non_empty, ratio, score_sides, share_scores
from .size import count_parameters
from .speed import measure_speed
from .writing import compare_writings


def compare(
    teacher: str | Path | Language,
    student: str | Path | Language,
    data: str | Path | Sequence[str],
    *,
    other: str | Path | None = None,
    against: str | Path | None = None,
    output: str | Path | None = None,
    max_words: int = 20_000,
    gpu_id: int = -1,
    code: str | Path | None = None,
    force: bool = False,
) -> Report:
    """Compare a student with its teacher: scores, agreement, speed, memory and size.

    Args:
        teacher: The teacher: an installed package, a folder, or loaded.
        student: The student, likewise. To be timed, a loaded one is saved to a temporary folder.
        data: Docs with gold annotations (.spacy), or texts (.jsonl with "text", .txt with one text per line, or a list
            of them). Texts give agreement but no scores.
        other: The same of another kind of text than the student learned on, to see what it retains there.
        against: An earlier student, to see what got better and what got worse.
        output: Folder to write report.json and report.html to. It is created if needed. A distilled student's model
            card, README.md and meta.json, is written there too, and to the student's folder for `spacy package`.
            None writes nothing.
        max_words: Maximum number of words in a timed pass; see `speed.measure_speed`.
        gpu_id: GPU to score on and to measure too; -1 for the CPU.
        code: Python file that registers functions that the pipelines need.
        force: Replace an existing report.

    Returns:
        A dict, which a notebook shows as a page. `teacher` and `student`: each `name`, `version`, `path`, `pipeline`,
        `scores`, `words_per_second`, `words_per_second_runs`, `all_cores`, `load_seconds`, `load_seconds_runs`,
        `latency`, `environment`, `peak_memory` (bytes), `bytes` (on disk), `parameters`; see `speed.measure_speed`.
        Then `retention` and `agreement` by score, `overall` (each in one number), `pipes` (the scores of each pipe),
        `aligned` and `counted` (see `score_sides`), `labels`,
        `confusion` and `disagreements` (see `compare_sides`), `speed_up` (student's words per second over teacher's),
        `compression` (teacher's bytes over student's), `timing` (the texts of a timed pass), `learning_curve` (see
        `curve.read_curve`; empty where the student is not in its run's output), `tried` (see `report.find_tried`),
        `raw_text` (see `raw_text.compare_raw_text`), `elsewhere` (on texts of another kind: `path`, `gold`,
        `documents`, `retention` and `agreement` by score, `overall`), `writings` (see
        `writing.compare_writings`), `usage` (see `model_card.show_usage`), `data`,
        `machine`, `versions`, `date` (UTC), `command`.

    Raises:
        DistillationError: TD401 to TD414: a pipeline, the data, the code, the GPU or the output cannot be used.

    Example:
        >>> report = compare("en_core_web_trf", "student/model-best", "dev.spacy")
        >>> report["retention"]["dep_las"], report["speed_up"]["1"]
        >>> report  # In a notebook: the page
    """
    with TemporaryDirectory() as saved:
        names, loaded = {}, {}
        for role, given in (("teacher", teacher), ("student", student)):
            if isinstance(given, Language):
                names[role], loaded[role] = str(Path(saved) / role), given
                given.to_disk(names[role])
            else:
                names[role] = str(given)
        return _compare(names, loaded, data, other, against, output, max_words, gpu_id, code, force)


def _compare(
    names: dict[str, str],
    loaded: dict[str, Language],
    data: str | Path | Sequence[str],
    other: str | Path | None,
    against: str | Path | None,
    output: str | Path | None,
    max_words: int,
    gpu_id: int,
    code: str | Path | None,
    force: bool,
) -> Report:
    """See `compare`. Pipelines that were handed over are in `loaded`, and on disk by the names."""
    code = Path(code) if code is not None else None
    folder = _prepare_output(Path(output), force) if output is not None else None
    texts, gold = _read_data(data)
    others = _read_data(Path(other)) if other is not None else None
    if against is not None:
        _require_pipeline("earlier student", str(against))
    for role, name in names.items():
        _require_pipeline(role, name)
    if code is not None:
        import_user_code(code)
    use_device(gpu_id)

    pipelines = {role: loaded[role] if role in loaded else _load(role, name) for role, name in names.items()}
    for role, nlp in pipelines.items():
        _require_fitting_texts(role, nlp, texts, _name_data(data))
        if others is not None:
            _require_fitting_texts(role, nlp, others[0], str(other))
    # First, by pipelines of which nothing was asked yet.
    words = [len(pipelines["teacher"].make_doc(text)) for text in texts]
    chosen = choose_texts(zip(texts, words, strict=True))
    statement = take_statement("teacher", pipelines["teacher"], chosen)
    raw_text = compare_raw_text(statement, pipelines["student"], "teacher")
    sides = {role: Side(nlp, annotate(nlp, texts, gold, role.capitalize())) for role, nlp in pipelines.items()}
    compared = compare_sides(sides["teacher"], sides["student"], gold, raw_text)
    if not share_scores(compared):
        raise DistillationError(
            "TD407", teacher=pipelines["teacher"].pipe_names, student=pipelines["student"].pipe_names
        )
    elsewhere = None
    if others is not None:
        elsewhere = {"path": str(other), **_compare_elsewhere(pipelines, *others)}
    writings = compare_writings(pipelines["teacher"], pipelines["student"], texts)
    earlier = None
    if against is not None:
        earlier = _compare_with_earlier(str(against), sides, texts, gold, compared)
    timed, timing = measure_speed(names, texts, words, max_words=max_words, gpu_id=gpu_id, code=code)

    described = {
        role: describe_pipeline(nlp, names[role], compared[role]) | timed[role] for role, nlp in pipelines.items()
    }
    for role in loaded:
        described[role] |= {"path": None, "bytes": bytes_on_disk(Path(names[role]))}
    speeds = {role: described[role]["words_per_second"] for role in pipelines}
    report = Report(
        compared
        | described
        | {
            "speed_up": {key: ratio(speeds["student"][key], speeds["teacher"][key]) for key in speeds["teacher"]},
            "compression": ratio(described["teacher"]["bytes"], described["student"]["bytes"]),
            "timing": timing,
            "learning_curve": read_curve(Path(names["student"]).parent / CURVE_NAME),
            "tried": find_tried(folder, described["teacher"]) if folder else [],
            "elsewhere": elsewhere,
            "writings": writings,
            "against": earlier,
            "usage": show_usage(pipelines["student"]),
            "data": {"path": _name_data(data), "gold": gold is not None, "documents": len(texts), "words": sum(words)},
        }
        | describe_circumstances(gpu_id)
    )
    if folder is not None:
        report.write(folder)
        if "distillation" in pipelines["student"].meta:
            _renew_card(pipelines["student"], None if "student" in loaded else names["student"], folder, report)
    return report


@dataclass(frozen=True)
class Recorded:
    """What a run knows of its teacher without loading it."""

    teacher: dict[str, Any]  # As `describe_pipeline` describes one, as far as it is known
    side: Side  # What it said about the dev data; without Docs where it was not asked
    gold: Sequence[Doc] | None
    data: str | None  # Where the dev data are; None where texts were held out
    raw_text: dict[str, Any] | None = None  # From `compare_raw_text`; None where they were not compared


def compare_recorded(recorded: Recorded, student: Side, output: Path, *, gpu_id: int = -1) -> Report:
    """Compare a student with its teacher's recorded annotations, without timing.

    Args:
        recorded: The teacher's annotations.
        student: The student's annotations of the same texts.
        output: The output folder of the student's run, to write the report to.
        gpu_id: The GPU that was used; -1 for the CPU.

    Returns:
        Like `compare`, without timings: `speed_up` is empty, and `timing` is None.

    Raises:
        DistillationError: TD408, the report cannot be written.
    """
    compared = compare_sides(recorded.side, student, recorded.gold, recorded.raw_text)
    described = {
        "teacher": recorded.teacher | {"scores": compared["teacher"]},
        "student": describe_pipeline(student.nlp, str(student.nlp.path), compared["student"]),
    }
    sizes = {role: described[role]["bytes"] for role in described}
    report = Report(
        compared
        | described
        | {
            "speed_up": {},
            "compression": ratio(sizes["teacher"], sizes["student"]),
            "timing": None,
            "learning_curve": read_curve(output / CURVE_NAME),
            "tried": find_tried(output, described["teacher"]),
            "elsewhere": None,
            "writings": None,
            "against": None,
            "usage": show_usage(student.nlp),
            "data": {
                "path": recorded.data,
                "gold": recorded.gold is not None,
                "documents": len(student.docs),
                "words": sum(map(len, student.docs)),
            },
        }
        | describe_circumstances(gpu_id)
    )
    report.write(output)
    write_meta(student.nlp.path, student.nlp.meta, report)
    write_readme(student.nlp.path, student.nlp.meta, report)
    return report


def _compare_elsewhere(pipelines: dict[str, Language], texts: list[str], gold: Sequence[Doc] | None) -> dict[str, Any]:
    """Compare on texts of another kind: agreement where the student learned says little about it."""
    sides = {role: Side(nlp, annotate(nlp, texts, gold, f"{role} elsewhere")) for role, nlp in pipelines.items()}
    found = score_sides(sides["teacher"], sides["student"], gold)
    kept = {key: found[key] for key in ("retention", "agreement", "overall")}
    return {"gold": gold is not None, "documents": len(texts), **kept}


def _compare_with_earlier(
    path: str, sides: dict[str, Side], texts: list[str], gold: Sequence[Doc] | None, compared: dict[str, Any]
) -> dict[str, Any]:
    """Compare the student with an earlier one, by gold annotations or else by what the teacher says."""
    nlp = _load("earlier student", path)
    earlier = Side(nlp, annotate(nlp, texts, gold, "Earlier student"))
    scored = score_sides(sides["teacher"], earlier, gold)
    ours, theirs = (one["student"] if gold else one["agreement"] for one in (compared, scored))
    shown = [name for name in compared["agreement"] if theirs.get(name) is not None and ours.get(name) is not None]
    judge = sides["student"].nlp
    right = (
        [Said(doc, dict(doc.cats)) for doc in non_empty(judge, gold)]
        if gold
        else [Said(doc, decide(sides["teacher"].nlp, doc.cats)) for doc in sides["teacher"].docs]
    )
    old, new = ([Said(doc, decide(side.nlp, doc.cats)) for doc in side.docs] for side in (earlier, sides["student"]))
    return {
        "path": path,
        "basis": "gold annotations" if gold else "what the teacher says",
        "scores": {name: {"old": theirs[name], "new": ours[name]} for name in shown},
        "pipes": compare_students(list_layers(judge), right, old, new),
    }


def _name_data(data: str | Path | Sequence[str]) -> str:
    return str(data) if isinstance(data, str | Path) else f"{len(data)} texts"


def _renew_card(student: Language, name: str | None, folder: Path, report: Report) -> None:
    """Write the model card to the report's folder, and to the student's, for `spacy package`."""
    write_meta(folder, student.meta, report)
    write_readme(folder, student.meta, report)
    # An installed package is not ours to change, and one that was handed over may differ from its folder.
    if name is None or is_package(name):
        return
    try:
        write_meta(student.path, student.meta, report)
        if not write_readme(student.path, student.meta, report):
            msg.warn(f"{student.path / README_NAME} is not a card of spacy-tinydistill, and was left as it is.")
    except DistillationError as error:
        msg.warn(f"The student's own card still has earlier figures. {error}")


def compare_sides(
    teacher: Side, student: Side, gold: Sequence[Doc] | None, raw_text: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Compare the annotations of teacher and student on the same texts.

    Args:
        teacher: See `score_sides`.
        student: Likewise.
        gold: Likewise.
        raw_text: From `compare_raw_text`; None where they were not compared.

    Returns:
        What `score_sides` returns, `overall` with a score of 0 for each pipe that the student lacks; `raw_text`;
        `calibration` by role and pipe, against gold annotations (see `calibration.calibrate`); `thresholds` (see
        `calibration.try_thresholds`), against gold annotations or else what the teacher decided;
        `labels` (see `layers.count_labels`), `confusion`
        (`layers.count_confusions`) and `disagreements` (`disagreement.find_disagreements`).
    """
    scored = score_sides(teacher, student, gold)
    # Of pipes whose annotations both make.
    pipes = {pipe for pipe, names in scored["pipes"].items() if scored["agreement"].keys() & names}
    layers = [layer for layer in list_layers(student.nlp) if layer.pipe in pipes]
    theirs, ours = (
        # None of the student's either, where the teacher was not asked.
        [Said(doc, decide(side.nlp, doc.cats)) for doc in side.docs[: len(teacher.docs)]]
        for side in (teacher, student)
    )
    readings = read_layers(layers, theirs, ours)
    references = [Reference(doc, doc.cats) for doc in non_empty(student.nlp, gold)] if gold else []
    decided = [Reference(said.doc, said.decided) for said in theirs]
    share = share_of_pipes({**scored, "raw_text": raw_text})
    return {
        **scored,
        "overall": {what: value and value * share for what, value in scored["overall"].items()},
        "raw_text": raw_text,
        "calibration": {
            # The student's pipes tell which labels exclude each other, the teacher's need not be spaCy's.
            role: calibrate(student.nlp, side.docs, references) if references and side.docs else {}
            for role, side in (("teacher", teacher), ("student", student))
        },
        "thresholds": try_thresholds(student.nlp, student.docs, references or decided),
        "labels": count_labels(readings),
        "confusion": count_confusions(readings),
        "disagreements": find_disagreements(readings, theirs, ours),
    }


def describe_pipeline(nlp: Language, path: str, scores: dict[str, Any]) -> dict[str, Any]:
    """Describe a pipeline on disk, without its speed."""
    return {
        "name": f"{nlp.lang}_{nlp.meta['name']}",
        "version": nlp.meta["version"],
        "path": path,
        "pipeline": list(nlp.pipe_names),
        "scores": scores,
        "bytes": measure_bytes(nlp),
        "parameters": count_parameters(nlp),
    }


def describe_circumstances(gpu_id: int) -> dict[str, Any]:
    """Describe the machine, time and command of a report."""
    return {
        "machine": describe_machine(gpu_id),
        "versions": installed_versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
    }


def _prepare_output(folder: Path, force: bool) -> Path:
    """Make the report's folder; checked before the minutes that the measuring takes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / JSON_NAME).exists() and not force:
            raise DistillationError("TD409", path=folder)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DistillationError("TD408", path=folder, reason=_short(error)) from error
    return folder


def _read_data(data: str | Path | Sequence[str]) -> tuple[list[str], list[Doc] | None]:
    """The texts, and the gold annotations if the file, or all files of the folder, are DocBins."""
    if not isinstance(data, str | Path):
        texts = [text for text in data if text.strip()]
        if not texts:
            raise DistillationError("TD107", path="The list of texts")
        return texts, None
    path = Path(data)
    texts = list(read_texts(path))
    files = list_files(path, SUFFIXES)
    if any(file.suffix != ".spacy" for file in files):
        return texts, None
    vocab = Vocab()
    read = (doc for file in files for doc in DocBin().from_disk(file).get_docs(vocab))
    return texts, [doc for doc in read if doc.text.strip()]


def _require_pipeline(role: str, name: str) -> None:
    if not name or not (is_package(name) or Path(name).is_dir()):
        hint = hint_at_swap(name) if name else ""
        raise DistillationError("TD401", role=role, name=name, hint=f"{hint} " if hint else "")


def _load(role: str, name: str) -> Language:
    try:
        return spacy.load(name)
    except Exception as error:  # a missing dependency, a config of another version, a cut-off file, ...
        raise DistillationError("TD402", role=role, name=name, reason=_short(error)) from error


def _require_fitting_texts(role: str, nlp: Language, texts: list[str], path: str) -> None:
    for number, text in enumerate(texts, start=1):
        if len(text) > nlp.max_length:
            raise DistillationError(
                "TD413", number=number, path=path, length=len(text), role=role, max_length=nlp.max_length
            )


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
