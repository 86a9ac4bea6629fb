"""No test is skipped or expected to fail: one that cannot run everywhere makes its own data, or is not a test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FORBIDDEN = {"skip", "skipif", "skipIf", "skipUnless", "xfail", "importorskip", "SkipTest", "expectedFailure"}
PARENTS = {"pytest", "mark", "unittest", "TestCase", "self"}


def skips(source: str) -> list[str]:
    """Every use of a word that leaves a test out, as `line: word`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN and _parent(node) in PARENTS:
            found.append(f"{node.lineno}: {node.attr}")
        if isinstance(node, ast.ImportFrom) and node.module in ("pytest", "unittest"):
            found += [f"{node.lineno}: {alias.name}" for alias in node.names if alias.name in FORBIDDEN]
    return found


def _parent(node: ast.Attribute) -> str:
    value = node.value
    return value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""


def test_no_test_is_left_out() -> None:
    paths = sorted((ROOT / "tests").rglob("*.py"))
    assert len(paths) > 10, "the tests have moved, and this one looks at nothing"
    found = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in skips(path.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pytest\npytest.skip('no data')",
        "import pytest\n@pytest.mark.skip\ndef test(): ...",
        "import pytest\n@pytest.mark.skipif(True, reason='')\ndef test(): ...",
        "import pytest\n@pytest.mark.xfail\ndef test(): ...",
        "import pytest\nscipy = pytest.importorskip('scipy')",
        "from pytest import skip",
        "import unittest\nraise unittest.SkipTest",
        "import pytest\nparams = [pytest.param(1, marks=pytest.mark.xfail)]",
    ],
)
def test_each_way_to_leave_a_test_out_is_found(source: str) -> None:
    assert skips(source) != []


def test_a_sink_may_skip_frames() -> None:
    assert skips("sink.skip(frames=1)") == []
