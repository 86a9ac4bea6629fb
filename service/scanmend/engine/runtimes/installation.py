"""What is wrong with the installed runtimes, in words."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module, metadata
from typing import Any

from scanmend.errors import MissingExtra

ORT_WHEELS = ("onnxruntime", "onnxruntime-gpu")


def require(module: str, *, extra: str) -> Any:
    """Import an optional package.

    Raises:
        MissingExtra: It is not installed; the text names the extra that holds it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"The package {module.split('.')[0]} is not installed.", mend=f'Run: pip install "scanmend[{extra}]".'
        ) from error


def installed(names: Collection[str] = (*ORT_WHEELS, "openvino")) -> frozenset[str]:
    """Which of these distributions pip has installed."""
    return frozenset(name for name in names if _version(name))


def problems(distributions: Collection[str]) -> list[str]:
    """What is wrong with a set of installed runtimes, one sentence with its mend each; empty where nothing is.

    Args:
        distributions: Names as `installed` gives them.
    """
    found = []
    if set(ORT_WHEELS) <= set(distributions):
        found.append(
            "Both onnxruntime and onnxruntime-gpu are installed; they overwrite each other's files, and the one for "
            "the processor wins. Run: pip uninstall -y onnxruntime onnxruntime-gpu && "
            'pip install "scanmend[gpu]" (or "scanmend[cpu]").'
        )
    if not set(distributions) & {*ORT_WHEELS, "openvino"}:
        found.append('No runtime is installed, so nothing can be restored. Run: pip install "scanmend[cpu]".')
    elif not set(distributions) & set(ORT_WHEELS):
        found.append(
            "Without ONNX Runtime no fast arithmetic can be checked against float32, so only float32 is used. "
            'Run: pip install "scanmend[cpu]".'
        )
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
