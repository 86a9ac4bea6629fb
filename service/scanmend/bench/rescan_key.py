"""What a result of the rescan benchmark depends on, as a key by which it is kept: nothing less, and little more."""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from scanmend.engine.restorer import Restorer
from scanmend.rescan import Policy

FOLLOWED = (
    *("scanmend.rescan", "scanmend.plan", "scanmend.field", "scanmend.units", "scanmend.validity", "scanmend.engine"),
    *("scanmend_sim", "scanmend_models"),
)
"""Where what they import is followed: neither the wire nor errors, which the engine's modules name too, move a beam."""

_ALWAYS = (
    *("scanmend.rescan.planning", "scanmend.rescan.watch", "scanmend_sim.damage"),
    *("scanmend_models.quality.scores", "scanmend.engine.restorer"),
)
"""What every result is made by, beside the policy and the benchmark itself."""


def key(policy: Policy, restorer: Restorer, benchmark: str) -> str:
    """A hash of the code that a policy's scores come from, and of the model behind it.

    Args:
        policy: One of the service, or of the benchmark.
        restorer: Behind the policy.
        benchmark: Name of the module that measures.
    """
    info, calibration = restorer.info, restorer.model.manifest.calibration
    model = f"{info.sha256} {info.provider} {info.precision} {msgspec.to_builtins(calibration)}"
    words = f"{code(type(policy).__module__, benchmark)} {model} {policy if _is_plain(policy) else ''}"
    return hashlib.sha256(words.encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=64)
def code(module: str, benchmark: str) -> str:
    """A hash of the modules that a policy's module and the benchmark import, and they in turn, and of their networks.

    What only people read, comments and docstrings, does not count. The benchmark's own module counts, and not what it
    imports: its other policies among them.
    """
    files = {
        Path(str(sys.modules[benchmark].__file__)),
        *_reached([*_ALWAYS, *([module] if module != benchmark else [])]),
    }
    networks = {
        network for file in files for network in file.parent.glob("*.onnx") if file.stem.startswith(network.stem)
    }
    parts = [hashlib.sha256(_meaning(file)).digest() for file in sorted(files)]
    parts += [hashlib.sha256(network.read_bytes()).digest() for network in sorted(networks)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _is_plain(policy: Policy) -> bool:
    """Whether a policy's words tell its settings, and no address in memory."""
    return " at 0x" not in repr(policy)


def _reached(modules: Iterable[str]) -> set[Path]:
    """Files of these modules and of all of ours that they import, and these in turn."""
    waiting, seen = list(modules), set[str]()
    while waiting:
        name = waiting.pop()
        followed = any(f"{name}.".startswith(f"{prefix}.") for prefix in FOLLOWED)
        if name in seen or not followed or name not in sys.modules:
            continue
        seen.add(name)
        waiting += _imported(Path(str(sys.modules[name].__file__)))
    return {Path(str(sys.modules[name].__file__)) for name in seen}


@functools.cache
def _imported(file: Path) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names += (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += (node.module, *(f"{node.module}.{one.name}" for one in node.names))
    return tuple(names)


@functools.cache
def _meaning(file: Path) -> bytes:
    """The program of a file without what only people read."""
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if hasattr(node, "body") and isinstance(node.body, list):
            node.body = [one for one in node.body if not _is_text(one)]
    return ast.dump(tree).encode()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
