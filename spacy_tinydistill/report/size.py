"""The size of a pipeline: its trained parameters."""

from typing import Any

from spacy.language import Language

from ..pipes.pipeline import models_of, nodes_of
from ..pipes.third_party import find_module, is_llm


def count_parameters(nlp: Language) -> int | None:
    """Count the parameters of all components, disabled ones too (they are on disk), shared ones once.

    These are the parameters of Thinc layers and of PyTorch modules, wrapped by a layer or by a component. Vectors in
    the vocabulary do not count. None for an LLM.
    """
    total = 0
    modules: dict[int, Any] = {}
    for _, component in nlp.components:
        if is_llm(component):
            return None
        if module := find_module(component):
            modules[id(module)] = module
    for layer in nodes_of(model for _, model in models_of(nlp.components)):
        total += sum(layer.get_param(name).size for name in layer.param_names if layer.has_param(name))
        wrapped = (getattr(shim, "_model", None) for shim in layer.shims)
        modules |= {id(module): module for module in wrapped if hasattr(module, "parameters")}
    return total + sum(parameter.numel() for module in modules.values() for parameter in module.parameters())
