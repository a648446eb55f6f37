"""What is imported is declared, what is declared is imported, and the lock file holds what is declared."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PRODUCT = ("ani3d_formats", "ani3dhuman", "engine", "cloth_truth")
CHECKS = ("tests", "tools", "benchmarks/formats", "benchmarks/physics", "benchmarks/refine", "benchmarks/render")
IN_BLENDER = {"bpy", "bpy_extras", "bmesh", "mathutils", "addon_utils"}
BESIDE = {"agreement", "agreement_scenes", "build_scene"}  # files that a script finds through sys.path
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name: [Requirement(text) for text in texts] for name, texts in PROJECT["optional-dependencies"].items()}
DEPENDENCIES = [Requirement(text) for text in PROJECT["dependencies"]]


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def imported(folders: tuple[str, ...]) -> dict[str, str]:
    """Top-level modules of other projects that the files of the folders import, each with one such file."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    ours = {path.name for path in ROOT.iterdir()} | {path.stem for path in files} | BESIDE
    found: dict[str, str] = {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            else:
                continue
            found |= {module.partition(".")[0]: str(path.relative_to(ROOT)) for module in modules}
    known = ours | IN_BLENDER | set(sys.stdlib_module_names)
    return {module: path for module, path in found.items() if module not in known}


@pytest.fixture(scope="module")
def owners() -> dict[str, set[str]]:
    """The installed distributions that bring each top-level module."""
    owners: dict[str, set[str]] = {}
    for distribution in distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        for file in distribution.files or []:
            top = file.parts[0] if len(file.parts) > 1 else inspect.getmodulename(file.name)
            owners.setdefault(top or "", set()).add(name)
    return owners


@pytest.mark.parametrize(
    ("folders", "extras"), [(PRODUCT, ("wan", "ltx", "farm", "cuda", "metrics", "formats")), (CHECKS, tuple(EXTRAS))]
)
def test_every_import_is_declared(owners, folders, extras):
    declared = names(DEPENDENCIES + [entry for extra in extras for entry in EXTRAS[extra]])
    # an extra that is not installed is known by its module's own name
    bring = {module: owners.get(module, {canonicalize_name(module)}) for module in imported(folders)}
    missing = {module: path for module, path in imported(folders).items() if not bring[module] & declared}
    assert missing == {}


def test_every_dependency_is_imported(owners):
    used = set().union(*(owners.get(module, set()) for module in imported(PRODUCT)))
    assert names(DEPENDENCIES) - used == set()


def test_the_lock_holds_what_is_declared_and_nothing_of_cuda():
    text = (ROOT / "requirements" / "engine.txt").read_text()
    locked = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.M)}
    wanted = {
        entry
        for entry in DEPENDENCIES
        + EXTRAS["wan"]
        + EXTRAS["metrics"]
        + EXTRAS["formats"]
        + EXTRAS["cuda"]
        + EXTRAS["dev"]
        if not entry.extras
    }
    unfit = {str(entry) for entry in wanted if not entry.specifier.contains(locked.get(entry.name.lower(), "0"))}
    assert unfit == {str(entry) for entry in wanted if entry.name == "torch"}  # TORCH of the Makefile names its release
    assert not [name for name in locked if re.match("nvidia|cuda|triton", name)]
    assert "://" not in text
