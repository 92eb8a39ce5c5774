"""What a measurement depends on besides the pipelines: the machine and the package versions."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "spacy",
    "thinc",
    "numpy",
    "torch",
    "transformers",
    "spacy-transformers",
    "spacy-curated-transformers",
    "spacy-tinydistill",
)


def describe_machine(gpu_id: int = -1) -> dict[str, Any]:
    """Describe the machine: `cpu`, `cores` (usable by this process), `memory` (bytes), `platform`, `gpu` if
    used.
    """
    machine = {
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory": _memory("MemTotal"),
        "platform": platform.platform(),
    }
    if gpu_id >= 0:
        machine["gpu"] = _gpu_name(gpu_id)
    return machine


def installed_versions() -> dict[str, str]:
    """Return the version of Python and of each of `PACKAGES` that is installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def usable_cores() -> int:
    """Count the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int | None:
    """Return the bytes of memory that are free or can be freed; None if the system does not tell."""
    return _memory("MemAvailable")


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory(field: str) -> int | None:
    """Bytes of a field of /proc/meminfo; the physical memory for any field elsewhere."""
    info = Path("/proc/meminfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _gpu_name(gpu_id: int) -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name(gpu_id)
    return f"GPU {gpu_id}"
