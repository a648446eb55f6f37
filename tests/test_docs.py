"""The pages under docs/ are short, and what they, README and CHANGELOG name is there."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"]
MOST_WORDS = 1000
SOURCES = (
    "ani3d_formats",
    "ani3dhuman",
    "engine",
    "blender_addon",
    "cloth_truth",
    "benchmarks",
    "examples",
    "tests",
    "tools",
)
FILES = {path.relative_to(ROOT).as_posix() for folder in SOURCES for path in (ROOT / folder).rglob("*.*")}
NOT_OURS = {"pytest", "venv", "pip"}

pages = pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def is_history(page: Path) -> bool:
    """Notes may name what was deleted."""
    return page.parent.name == "notes" or page.name == "CHANGELOG.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").split()) <= MOST_WORDS


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "benchmarks").glob("*.md")), ids=lambda path: path.stem)
def test_a_benchmark_has_its_rows_beside_it(page: Path) -> None:
    assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))


def test_faults_are_kept_away_by_tests_that_exist() -> None:
    told = (ROOT / "docs" / "notes" / "animators_faults.md").read_text(encoding="utf-8")
    named = re.findall(r"(?:::|gui: |`)(\w{12,})`", told)
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert len(named) > 30
    assert [name for name in named if f"def {name}(" not in tests] == []


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in link and not link.startswith("#"):
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve()
            assert target.exists(), link
            assert not heading or heading in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pages
def test_source_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if not is_history(page):
        for name in re.findall(r"`([\w./-]+\.(?:py|toml|sh))`", text):
            assert any(f"/{path}".endswith(f"/{name}") for path in FILES | {"pyproject.toml"}), name
        for folder in re.findall(rf"`((?:{'|'.join(SOURCES)})/[\w/]*)`", text):
            assert (ROOT / folder).is_dir(), folder


@pages
def test_modules_and_targets_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if not is_history(page):
        imported = re.findall(r"^ *from (ani3d\w+[\w.]*) import", text, re.M)
        for module in {*re.findall(r"python -m ([\w.]+)", text), *imported} - NOT_OURS:
            path = module.rstrip(".").replace(".", "/")
            assert {f"{path}.py", f"{path}/__main__.py", f"{path}/__init__.py"} & FILES, module
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
        named = re.findall(r"(?:^ {4}|`)make ([a-z][\w-]*)", text, re.M)
        assert set(named) <= targets, set(named) - targets


@pages
def test_what_examples_import_from_the_library_is_there(page: Path) -> None:
    for module, names in re.findall(
        r"^ *from (ani3dhuman[\w.]*) import ([\w, ]+)", page.read_text(encoding="utf-8"), re.M
    ):
        for name in names.split(","):
            assert hasattr(importlib.import_module(module), name.strip()), f"{module}: {name}"


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in TEXTS
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
        if "://" not in link
    }
    assert set(PAGES) <= linked, sorted(path.name for path in set(PAGES) - linked)


def test_pages_that_the_code_names_exist() -> None:
    for name in sorted(FILES):
        if name.endswith((".py", ".toml")):
            for page in re.findall(r"docs/[\w/]+\.md", (ROOT / name).read_text(encoding="utf-8")):
                assert (ROOT / page).is_file(), f"{name} names {page}"
