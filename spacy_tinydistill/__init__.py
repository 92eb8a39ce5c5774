"""Distil a spaCy pipeline on a transformer into a tiny one that says nearly the same."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .acceleration import accelerate
    from .api import distill, record_targets
    from .report.compare import compare
    from .web.export import export_web

__all__ = ["accelerate", "compare", "distill", "export_web", "record_targets"]


def __getattr__(name: str) -> Any:
    # On first use: every `python -m spacy` imports this package for its commands, and few calls are ours.
    if name in ("distill", "record_targets"):
        from . import api

        return getattr(api, name)
    if name == "accelerate":
        from .acceleration import accelerate

        return accelerate
    if name == "compare":
        from .report.compare import compare

        return compare
    if name == "export_web":
        from .web.export import export_web

        return export_web
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
