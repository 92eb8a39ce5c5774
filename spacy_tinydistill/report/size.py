"""The size of a pipeline: bytes on disk and trained parameters."""

from pathlib import Path

from spacy.language import Language
from thinc.api import Model

from ..pipes.third_party import find_module, is_llm


def bytes_on_disk(path: Path) -> int:
    """Sum the sizes of all files under a pipeline's data directory, in bytes."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def count_parameters(nlp: Language) -> int | None:
    """Count the parameters of all components, disabled ones too (they are on disk), shared ones once.

    These are the parameters of Thinc layers and of PyTorch modules, wrapped by a layer or by a component. Vectors in
    the vocabulary do not count. None for an LLM.
    """
    total = 0
    seen: set[int] = set()
    for _, component in nlp.components:
        if is_llm(component):
            return None
        if module := find_module(component):
            total += sum(parameter.numel() for parameter in module.parameters())
        model = getattr(component, "model", None)
        if not isinstance(model, Model):
            continue
        for layer in model.walk():
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            total += sum(layer.get_param(name).size for name in layer.param_names if layer.has_param(name))
            for shim in layer.shims:
                module = getattr(shim, "_model", None)
                if module is not None and hasattr(module, "parameters") and id(module) not in seen:
                    seen.add(id(module))
                    total += sum(parameter.numel() for parameter in module.parameters())
    return total
