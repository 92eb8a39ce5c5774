"""Components that wrap somebody else's model: spacy-llm's, spacy-huggingface-pipelines', and those of a user's own.

spaCy asks its own pipes for their labels, weights and kinds; of these all that is found elsewhere. Neither library is
imported here, nor is PyTorch.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc

from .pipeline import pipes_of


@contextmanager
def answers_kept(teacher: Language) -> Iterator[None]:
    """Let a teacher's LLMs leave on each Doc what they answered, which spacy-llm does only when asked (`save_io`).

    Args:
        teacher: The pipeline.
    """
    pipes = [pipe for _, pipe in pipes_of(teacher) if is_llm(pipe)]
    before = [pipe._save_io for pipe in pipes]
    for pipe in pipes:
        pipe._save_io = True
    try:
        yield
    finally:
        for pipe, value in zip(pipes, before, strict=True):
            pipe._save_io = value


def has_answered(pipe: Any, doc: Doc) -> bool:
    """Whether a component said anything of a Doc that it has seen; else it leaves the Doc as if it had found nothing.

    An LLM did not where its answer is empty, or, where it was to choose one category, none. A Hugging Face text
    classifier that failed on a text leaves no categories; spacy-huggingface-pipelines then only warns. Of any other
    component nothing can be told, and it counts as having answered.

    Args:
        pipe: The component.
        doc: What it made of the Doc, with `answers_kept`.
    """
    if is_text_classifier(pipe):
        return all(label in doc.cats for label in list_labels(pipe))
    if not is_llm(pipe):
        return True
    # A Doc out of spacy-llm's cache may have been put there without its answer.
    answer = doc.user_data.get("llm_io", {}).get(pipe._name, {}).get("response", "?")
    parts = [answer] if isinstance(answer, str) else answer
    chooses_one = getattr(pipe.task, "exclusive_classes", False) and not getattr(pipe.task, "use_binary", False)
    return all(part.strip() for part in parts) and not (chooses_one and not any(doc.cats.values()))


def list_labels(pipe: Any) -> list[Any]:
    """List a component's labels; none where it does not say.

    A Hugging Face model's labels of tokens come as those of their spans, without "B-" and "I-".
    """
    config = _hugging_face_config(pipe)
    if config is None:
        return list(getattr(pipe, "labels", ()))
    labels = list(config.id2label.values())
    if not is_text_classifier(pipe):
        labels = [label[2:] if label[:2] in ("B-", "I-") else label for label in labels if label != "O"]
    return list(dict.fromkeys(labels))


def find_counterpart(pipe: Any) -> tuple[str, dict[str, Any]] | None:
    """Find which of spaCy's factories can learn what a component writes, and with which settings; None for others."""
    if is_text_classifier(pipe):
        return ("textcat" if excludes(pipe) else "textcat_multilabel"), {}
    if _hugging_face_config(pipe) is not None:
        settings = {"spans_key": pipe.annotate_spans_key} if pipe.annotate == "spans" else {}
        return {"ents": "ner", "tag": "tagger", "pos": "morphologizer", "spans": "spancat"}[pipe.annotate], settings
    if is_llm(pipe):
        kinds = {kind.__name__ for kind in type(pipe.task).__mro__}
        if "TextCatTask" in kinds:
            return ("textcat" if pipe.task.exclusive_classes and len(pipe.labels) > 1 else "textcat_multilabel"), {}
        if "SpanCatTask" in kinds:
            return "spancat", {"spans_key": pipe.task._spans_key}
        if "NERTask" in kinds:
            return "ner", {}
        if "LemmaTask" in kinds:
            return "trainable_lemmatizer", {}
    return None


def excludes(pipe: Any) -> bool:
    """Whether the labels of a Hugging Face text classifier exclude each other, as its pipeline decides."""
    config = _hugging_face_config(pipe)
    return config.problem_type != "multi_label_classification" and config.num_labels > 1


def find_module(pipe: Any) -> Any:
    """Find the PyTorch module that a component of spacy-huggingface-pipelines wraps; None for others."""
    return None if _hugging_face_config(pipe) is None else pipe.hf_pipeline.model


def wraps_module(pipe: Any) -> bool:
    """Whether a component of a user's own holds a PyTorch module, itself or in an object that it holds.

    Then it is a model, and no rule that a student should have as it is.
    """
    torch = sys.modules.get("torch")
    if torch is None or isinstance(pipe, TrainablePipe) or has_weights_elsewhere(pipe):
        return False
    held = list(getattr(pipe, "__dict__", {}).values())
    inner = [value for one in held for value in getattr(one, "__dict__", {}).values()]
    return any(isinstance(value, torch.nn.Module) for value in held + inner)


def find_weights(pipe: Any) -> Path | None:
    """Find the folder with the weights of a Hugging Face model; None where it is none on this machine's disk."""
    config = _hugging_face_config(pipe)
    path = None if config is None else Path(config.name_or_path)
    return path if path is not None and path.is_dir() else None


def has_weights_elsewhere(pipe: Any) -> bool:
    """Whether a component's model is not in the pipeline's folder."""
    return is_llm(pipe) or _hugging_face_config(pipe) is not None


def is_llm(pipe: Any) -> bool:
    """Whether a component is spacy-llm's."""
    return type(pipe).__module__.startswith("spacy_llm.")


def is_text_classifier(pipe: Any) -> bool:
    """Whether a component is a text classifier of spacy-huggingface-pipelines."""
    return type(pipe).__module__ == "spacy_huggingface_pipelines.text_classification"


def _hugging_face_config(pipe: Any) -> Any:
    is_one = type(pipe).__module__.startswith("spacy_huggingface_pipelines.")
    return pipe.hf_pipeline.model.config if is_one else None
