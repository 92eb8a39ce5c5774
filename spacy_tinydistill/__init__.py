"""Distil a spaCy pipeline on a transformer into a tiny one that says nearly the same."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .acceleration import accelerate
    from .api import distill, record_targets
    from .report.compare import compare
    from .teacher.ray import RayCluster
    from .web.export import export_web

    __version__: str

__all__ = ["RayCluster", "__version__", "accelerate", "compare", "distill", "export_web", "record_targets"]

# On first use: every `python -m spacy` imports this package for its commands, and few calls are ours.
_MODULES = {
    "RayCluster": ".teacher.ray",
    "accelerate": ".acceleration",
    "compare": ".report.compare",
    "distill": ".api",
    "export_web": ".web.export",
    "record_targets": ".api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("spacy-tinydistill")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)
