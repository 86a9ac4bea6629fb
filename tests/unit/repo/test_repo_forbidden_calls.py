"""Nothing in the service or the simulator may turn bytes from outside into code, and none of it knows torch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GUARDED = ("service", "hardware_sim")

MODULES = {
    "pickle": "runs code from its bytes",
    "cPickle": "runs code from its bytes",
    "_pickle": "runs code from its bytes",
    "dill": "runs code from its bytes",
    "cloudpickle": "runs code from its bytes",
    "joblib": "reads pickles",
    "shelve": "reads pickles",
    "marshal": "crashes on bytes that were made for it",
    "torch": "belongs to models/ only",
}
CALLS = {
    "yaml.load": "makes any object",
    "yaml.load_all": "makes any object",
    "yaml.unsafe_load": "makes any object",
    "yaml.full_load": "makes any object",
    "pandas.read_pickle": "reads pickles",
    "os.system": "starts a shell",
    "os.popen": "starts a shell",
    "tempfile.mktemp": "names a file that somebody else can make first",
    "eval": "runs code",
    "exec": "runs code",
    "compile": "makes code",
    "__import__": "imports what a string says; importlib.import_module says so openly",
    "builtins.eval": "runs code",
    "builtins.exec": "runs code",
}
METHODS = {
    "recv_pyobj": "reads pickles from a socket",
    "send_pyobj": "writes pickles to a socket",
    "read_pickle": "reads pickles",
}
NUMPY_LOADS = {"numpy.load", "numpy.lib.npyio.NpzFile", "numpy.lib.format.read_array", "numpy.memmap"}


def violations(source: str) -> list[str]:
    """What a module does that it may not, one `line: name: why` each."""
    tree = ast.parse(source)
    names = _imported(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [(node.lineno, node.module or "")] if (node.module or "").split(".")[0] in MODULES else []
        elif isinstance(node, ast.Call):
            found += [(node.lineno, name) for name in _bad_call(node, names)]
    why = {**MODULES, **CALLS, **METHODS}
    return [f"{line}: {name}: {why.get(name) or why.get(name.split('.')[0], 'not allowed')}" for line, name in found]


def _imported(tree: ast.AST) -> dict[str, str]:
    """Local names of what is imported, with their whole names."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _bad_call(call: ast.Call, names: dict[str, str]) -> list[str]:
    name = _dotted(call.func, names)
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in CALLS or name.split(".")[0] in MODULES:
        return [name]
    if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
        return [call.func.attr]
    if _said_and_not_false(keywords, "allow_pickle"):
        return [f"{name}(allow_pickle)"]
    if name in NUMPY_LOADS and (None in keywords or any(isinstance(each, ast.Starred) for each in call.args)):
        return [f"{name}(**unknown)"]
    if name == "numpy.load" and len(call.args) > 2:
        return [f"{name}(allow_pickle)"]
    if name.startswith("subprocess.") and _said_and_not_false(keywords, "shell"):
        return [f"{name}(shell)"]
    if name in ("importlib.import_module", "import_module") and call.args and isinstance(call.args[0], ast.Constant):
        return [str(call.args[0].value)] if str(call.args[0].value).split(".")[0] in MODULES else []
    return []


def _said_and_not_false(keywords: dict[str | None, ast.expr], name: str) -> bool:
    value = keywords.get(name)
    return value is not None and not (isinstance(value, ast.Constant) and value.value is False)


def modules(*folders: str) -> list[Path]:
    """Every module under these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_the_service_and_the_simulator_call_nothing_that_runs_foreign_bytes() -> None:
    paths = modules(*GUARDED)
    assert len(paths) > 50, "the folders have moved, and this test looks at nothing"
    found = [
        f"{path.relative_to(ROOT)}:{line}" for path in paths for line in violations(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle"),
        ("import joblib as j\nj.load('x')", "joblib"),
        ("def f():\n    import torch", "torch"),
        ("from torch import nn", "torch"),
        ("import torch.nn", "torch.nn"),
        ("import importlib\nimportlib.import_module('torch')", "torch"),
        ("socket.recv_pyobj()", "recv_pyobj"),
        ("a.b[0].send_pyobj(1)", "send_pyobj"),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", "numpy.load(allow_pickle)"),
        ("import numpy as np\nnp.load('x', None, True)", "numpy.load(allow_pickle)"),
        ("from numpy import load as read\nread('x', allow_pickle=flag)", "numpy.load(allow_pickle)"),
        ("import numpy as np\nnp.load('x', **options)", "numpy.load(**unknown)"),
        ("import yaml\nyaml.load(text)", "yaml.load"),
        ("from yaml import load\nload(text)", "yaml.load"),
        ("eval('1')", "eval"),
        ("exec(code)", "exec"),
        ("import builtins\nbuiltins.eval('1')", "builtins.eval"),
        ("import os\nos.system('ls')", "os.system"),
        ("from os import system as s\ns('ls')", "os.system"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "subprocess.run(shell)"),
    ],
)
def test_each_forbidden_thing_is_found(source: str, name: str) -> None:
    assert any(f": {name}: " in line for line in violations(source)), violations(source)


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nnp.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import yaml\nyaml.safe_load(text)",
        "model.eval()",
        "import re\nre.compile('x')",
        "import subprocess\nsubprocess.run(['ls'])",
        "from importlib import import_module\nimport_module(name)",
        "'pickle' in text  # pickle",
    ],
)
def test_what_is_harmless_is_let_through(source: str) -> None:
    assert violations(source) == []
