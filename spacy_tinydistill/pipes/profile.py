"""What a student takes over from its teacher beside what it learns: everything but the weights."""

import hashlib
from configparser import Error as ConfigParserError
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import spacy
import srsly
from pydantic import TypeAdapter
from spacy.language import Language
from spacy.pipeline import EntityLinker, TrainablePipe
from spacy.util import registry
from thinc.api import Config, ConfigValidationError

from ..config_files import read_config_file
from ..errors import DistillationError
from ..files import bytes_on_disk, list_files
from .pipeline import (
    annotates_as_spacy,
    find_pipeline,
    full_name,
    is_encoder,
    language_code,
    models_of,
    nodes_of,
    pipes_of,
    spacy_kind,
)
from .third_party import find_counterpart, find_weights, has_weights_elsewhere, list_labels

# Of a pipeline's folder, what does not change what it says: `vocab/strings.json` grows with every text it reads.
NOT_IN_FINGERPRINT = ("meta.json", "README.md", "LICENSE", "LICENSES_SOURCES", "vocab/strings.json")

FILES_NAME = "pipe"


@dataclass(frozen=True)
class PipeProfile:
    """One of the teacher's pipes."""

    kinds: list[str]  # Its class and those that it is made from, by their full names, the class first
    labels: list[Any]  # As `pipe.labels` lists them; empty where there are none
    label_data: Any  # As a pipe of its kind can be initialized with; None where there is nothing
    files: dict[str, bytes]  # What a pipe that is carried over writes to disk as `FILES_NAME`, a folder or a file
    cfg: dict[str, Any] = field(default_factory=dict)  # The settings that it holds, as it saves them in PIPE/cfg
    block: dict[str, Any] = field(default_factory=dict)  # Its block in the config, without its model
    is_encoder: bool = False  # Whether it hands its vectors to other pipes
    not_carried_over: str | None = None  # Why a student cannot have it as it is, or None where it can

    @property
    def spacy_kind(self) -> str | None:
        """The full name of the class of spaCy's that it is of, or that its class is made from; None for others."""
        return next((kind for kind in self.kinds if kind.startswith("spacy.pipeline.")), None)


@dataclass(frozen=True)
class TeacherProfile:
    """A teacher without its weights, so that a student can start where the teacher is not."""

    meta: dict[str, Any]
    bytes_on_disk: int | None  # None where it was never on disk
    tokenizer_config: dict[str, Any]
    tokenizer: bytes | None  # As the tokenizer writes itself to bytes, in what was recorded before `tokenizer_files`
    pipes: dict[str, PipeProfile]  # Disabled ones, too
    tokenizer_files: dict[str, bytes] = field(default_factory=dict)  # What it writes to disk as `FILES_NAME`
    # The tables of `vocab.lookups`, by their names; keys are hashes of strings
    lookups: dict[str, dict[int, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The teacher's name with its language, such as "en_core_web_trf"."""
        return f"{self.meta['lang']}_{self.meta['name']}"

    @property
    def lang(self) -> str:
        """The teacher's language by spaCy's code for it: "en", also where its package says "eng"."""
        return language_code(self.meta["lang"])

    def make_tokenizer(self) -> Any:
        """Make the teacher's tokenizer again, with a vocabulary of its own."""
        nlp = spacy.blank(self.lang)
        tokenizer = registry.resolve({"tokenizer": self.tokenizer_config})["tokenizer"](nlp)
        self.load_tokenizer(tokenizer)
        return tokenizer

    def load_tokenizer(self, tokenizer: Any) -> None:
        """Give a tokenizer that was made by `tokenizer_config` what the teacher's holds, as spaCy loads it."""
        if self.tokenizer is not None:
            tokenizer.from_bytes(self.tokenizer, exclude=["vocab"])
            return
        with TemporaryDirectory() as folder:
            tokenizer.from_disk(write_files(self.tokenizer_files, Path(folder)), exclude=["vocab"])

    def to_bytes(self) -> bytes:
        """Write the profile as MessagePack."""
        return srsly.msgpack_dumps(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> "TeacherProfile":
        """Undo `to_bytes`."""
        return _PROFILE.validate_python(srsly.msgpack_loads(data))


# What a profile of somebody else's making is checked by.
_PROFILE = TypeAdapter(TeacherProfile)


def profile_teacher(teacher: Language) -> TeacherProfile:
    """Take down what a student needs of a loaded teacher.

    Raises:
        DistillationError: TD240, see `resolve_variables`; TD242, its tokenizer cannot be made again.
    """
    blocks = resolve_variables(teacher)["components"]
    profile = TeacherProfile(
        meta=_as_json(teacher.meta),
        bytes_on_disk=measure_bytes(teacher),
        tokenizer_config=dict(teacher.config["nlp"]["tokenizer"]),
        tokenizer=None,
        pipes={
            name: _profile_pipe(pipe, blocks[name], is_disabled=name in teacher.disabled)
            for name, pipe in teacher.components
        },
        lookups={name: dict(teacher.vocab.lookups.get_table(name)) for name in teacher.vocab.lookups.tables},
        tokenizer_files=_tokenizer_files(teacher),
    )
    _check_tokenizer(profile, teacher)
    return profile


def _tokenizer_files(teacher: Language) -> dict[str, bytes]:
    try:
        return _files_of(teacher.tokenizer)
    except Exception as error:  # Whatever a tokenizer of somebody else's making raises
        reason = "it cannot be saved" if hasattr(teacher.tokenizer, "to_disk") else "it has no to_disk"
        raise DistillationError(
            "TD242", tokenizer=full_name(type(teacher.tokenizer)), reason=f"{reason} ({error!r})"
        ) from error


def _check_tokenizer(profile: TeacherProfile, teacher: Language) -> None:
    found = type(teacher.tokenizer)
    try:
        made = profile.make_tokenizer()
    except Exception as error:  # Likewise
        raise DistillationError(
            "TD242", tokenizer=full_name(found), reason=f"it cannot be loaded again ({error!r})"
        ) from error
    if type(made) is not found:
        reason = f"[nlp.tokenizer] of its config makes a {full_name(type(made))}"
        raise DistillationError("TD242", tokenizer=full_name(found), reason=reason)


def measure_bytes(nlp: Language) -> int | None:
    """Sum the sizes of all files that a pipeline was loaded from, in bytes; None where they are not all on disk."""
    if not getattr(nlp, "_path", None):
        return None
    folders = [nlp.path]
    for _, pipe in pipes_of(nlp):
        if has_weights_elsewhere(pipe):
            weights = find_weights(pipe)
            if weights is None:
                return None
            folders.append(weights)
    return sum(map(bytes_on_disk, folders))


def resolve_variables(teacher: Language) -> Config:
    """Read a teacher's config with the values of its variables, which a student's config does not have.

    Raises:
        DistillationError: TD240, it has a value with "${" that is no variable.
    """
    try:
        return teacher.config.interpolate()
    except (ConfigValidationError, ConfigParserError) as error:
        if "${" not in str(error):
            raise
        raise DistillationError("TD240", reason=str(error).strip().splitlines()[-1]) from None


def _profile_pipe(pipe: Any, block: dict[str, Any], *, is_disabled: bool) -> PipeProfile:
    reason = why_not_carried_over(pipe)
    return PipeProfile(
        kinds=[full_name(kind) for kind in type(pipe).__mro__],
        labels=list_labels(pipe),
        # As a file of labels would hold it, which is how spaCy hands labels from one pipeline to another.
        label_data=_as_json(pipe.label_data) if isinstance(pipe, TrainablePipe) else None,
        files=_files_of(pipe) if reason is None and hasattr(pipe, "to_disk") and hasattr(pipe, "from_disk") else {},
        cfg=_as_json(cfg) if isinstance(cfg := getattr(pipe, "cfg", None), dict) else {},
        block=_as_json({key: value for key, value in block.items() if key != "model"}),
        is_encoder=is_encoder(pipe),
        # Somebody else's model is not asked if it is switched off, as each answer costs.
        not_carried_over="it is disabled" if reason and is_disabled and has_weights_elsewhere(pipe) else reason,
    )


def why_not_carried_over(pipe: Any) -> str | None:
    """Tell why a student cannot have a teacher's pipe as it is; None where it can.

    It can have rules and functions, and an entity linker whose model is its own: its knowledge base is the point of it,
    and no student's model could be trained against another.

    Args:
        pipe: A teacher's pipe.

    Returns:
        The reason, as the end of a sentence that says that the pipe is left out.
    """
    if is_encoder(pipe):
        return "the student has an encoder of its own"
    if has_weights_elsewhere(pipe):
        can_be_learned = find_counterpart(pipe) is not None
        needs = "no pipe of the config learns from it" if can_be_learned else "no pipe of spaCy's learns what it writes"
        return f"its model is not in the pipeline, and {needs}"
    if isinstance(pipe, TrainablePipe) and not isinstance(pipe, EntityLinker):
        if spacy_kind(pipe) is TrainablePipe or not annotates_as_spacy(pipe):
            return f"no teaching rule mirrors the class {type(pipe).__name__}"
        return "no pipe of the config learns from it"
    for node in nodes_of(model for _, model in models_of([("", pipe)])):
        if "listener" in f"{type(node).__name__} {node.name}".lower():
            return "its model reads the teacher's encoder"
        if node.name == "static_vectors":
            return "its model reads the teacher's word vectors"
        if node.shims:
            return "its model needs more than spaCy"
    return None


def _as_json(value: Any) -> Any:
    return srsly.json_loads(srsly.json_dumps(value))


def _files_of(pipe: Any) -> dict[str, bytes]:
    """Read what a pipe writes to disk. Not by way of bytes: an entity_ruler read from those forgets its phrases."""
    with TemporaryDirectory() as folder:
        pipe.to_disk(Path(folder) / FILES_NAME, exclude=["vocab"])
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in list_files(Path(folder))}


def write_files(files: dict[str, bytes], root: Path) -> Path:
    """Write a rule-based pipe's content.

    Args:
        files: From a `PipeProfile`.
        root: A folder.

    Returns:
        What the pipe's `from_disk` is to be given.

    Raises:
        DistillationError: TD601, a path that leads out of the folder, or that no file can have.
    """
    for name, data in files.items():
        try:
            path = (root / name).resolve()
            is_inside = path.is_relative_to(root.resolve())
            if is_inside:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        except (OSError, ValueError) as error:
            raise DistillationError("TD601", path=root, reason=f"it names a file {name!r}: {error}.") from error
        if not is_inside:
            raise DistillationError("TD601", path=root, reason=f"it names a file outside of itself: {name!r}.")
    return root / FILES_NAME


def fingerprint(teacher: str | Path | Language) -> str:
    """Hash a teacher's weights and config, so that another one is told apart.

    Args:
        teacher: A package, a folder, or a loaded pipeline, which is written to a temporary folder. Files are hashed:
            what another version of a library has written again may have another fingerprint.

    Returns:
        A SHA-256, hexadecimal.

    Raises:
        DistillationError: TD201, there is none of that name.
    """
    if isinstance(teacher, Language):
        with TemporaryDirectory() as folder:
            teacher.to_disk(folder)
            return _hash_folder(Path(folder))
    return _hash_folder(find_pipeline(teacher))


def _hash_folder(root: Path) -> str:
    total = hashlib.sha256()
    for file in list_files(root):
        name = file.relative_to(root).as_posix()
        if name not in NOT_IN_FINGERPRINT:
            digest = hashlib.sha256(_weights_of(file) if file.name == "model" else file.read_bytes())
            total.update(f"{name}\n{digest.hexdigest()}\n".encode())
    for folder in _folders_named(root):
        total.update(_hash_folder(folder).encode())
    return total.hexdigest()


def _folders_named(root: Path) -> list[Path]:
    """The folders of Hugging Face models that a pipeline's config names, which are no part of its own."""
    if not (root / "config.cfg").is_file():
        return []
    blocks = read_config_file(root / "config.cfg").get("components", {}).values()
    names = [block.get("model") for block in blocks if str(block.get("factory")).startswith("hf_")]
    return [Path(name) for name in names if isinstance(name, str) and name and Path(name).is_dir()]


def _weights_of(file: Path) -> bytes:
    """Read the weights out of a Thinc model's file, which also holds what changes when a parser has been used."""
    data = file.read_bytes()
    try:
        fields = srsly.msgpack_loads(data)
        return srsly.msgpack_dumps([fields["params"], fields["shims"]])
    except Exception:  # A pipe of another making, whose file is what it is
        return data
