"""Every link leads somewhere, every page is in its index, every word of the Makefile that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HIDDEN = {".venv", ".git", ".pytest_cache", "node_modules", "vendor"}
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1\s*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    found = (path for path in ROOT.rglob("*.md") if not HIDDEN & set(path.relative_to(ROOT).parts))
    return sorted(found)


def prose(text: str) -> str:
    """A document without its code."""
    return CODE.sub("", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors that a document's headings and tags get."""
    found: set[str] = set()
    for line in FENCE.sub("", text).splitlines():
        heading = re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if heading:
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            number = 0
            while (name := f"{slug}-{number}" if number else slug) in found:
                number += 1
            found.add(name)
    return found | set(re.findall(r"""(?:id|name)=["']([^"']+)["']""", text))


def broken_links(path: Path) -> list[str]:
    """Links of a document that lead nowhere inside the project; other hosts are not asked."""
    broken = []
    for target in LINK.findall(prose(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        file, _, anchor = target.partition("#")
        goal = (path.parent / file).resolve() if file else path
        if not goal.exists():
            broken.append(f"{target}: no such file")
        elif anchor and goal.suffix == ".md" and anchor not in anchors(goal.read_text(encoding="utf-8")):
            broken.append(f"{target}: no such heading")
    return broken


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path) == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_stay_inside_the_project(path: Path) -> None:
    outside = [
        target
        for target in LINK.findall(prose(path.read_text(encoding="utf-8")))
        if not re.match(r"[a-z][a-z0-9+.-]*:|#", target)
        and not (path.parent / target.partition("#")[0]).resolve().is_relative_to(ROOT)
    ]
    assert outside == []


@pytest.mark.parametrize("folder", [ROOT / "docs", ROOT / "docs" / "decisions"], ids=["docs", "decisions"])
def test_every_document_is_in_its_index(folder: Path) -> None:
    index = (folder / "README.md").read_text(encoding="utf-8")
    listed = {target.partition("#")[0] for target in LINK.findall(index)}
    there = {path.name for path in folder.glob("*.md")} - {"README.md"}
    assert there - listed == set(), f"add these to {folder.relative_to(ROOT)}/README.md"


def test_decisions_are_numbered_once_and_have_their_parts() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in records]
    assert len(set(numbers)) == len(numbers)
    for path in records:
        found = anchors(path.read_text(encoding="utf-8"))
        assert {"context", "decision", "consequences"} <= found, f"{path.name} lacks a part"
        assert any("lost" in each or "alternative" in each for each in found), f"{path.name}: what else was weighed?"


def test_words_of_the_makefile_that_documents_name_exist() -> None:
    words = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        (path.name, word)
        for path in documents()
        for word in re.findall(r"(?:`|^\s*\$? ?)make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {(name, word) for name, word in named if word not in words} == set()


def test_a_broken_link_and_a_broken_anchor_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One heading, with `code`\n## Again\n## Again\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#one-heading-with-code) [c](other.md#again-1) [d](missing.md)\n"
        "[e](other.md#nothing) [![f](missing.png)](https://example.org) `[g](code.md)`\n\n```\n[h](fence.md)\n```\n"
    )
    assert broken_links(page) == [
        "missing.md: no such file",
        "other.md#nothing: no such heading",
        "missing.png: no such file",
    ]
