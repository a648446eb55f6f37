"""Tests inside Blender as a module, of the extension as a user installs it: built, installed, enabled.

Run with `.venv-blender/bin/python -m pytest tests/blender`; the engine's environment has no bpy.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
HAS_BPY = importlib.util.find_spec("bpy") is not None
collect_ignore_glob = [] if HAS_BPY else ["test_*.py"]

if HAS_BPY:
    _resources = tempfile.TemporaryDirectory(prefix="ani3d-test-blender-")
    os.environ["BLENDER_USER_RESOURCES"] = _resources.name  # before bpy is imported: never the user's own
    import bpy
    import numpy as np
    import rigs


def pytest_report_header() -> str:
    return "tests/blender: " + (f"Blender {bpy.app.version_string}" if HAS_BPY else "not collected, no bpy here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.blender)


@pytest.fixture(scope="session")
def extension_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension, built as a release is."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "tools.build_extension", "--out", str(out)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return Path(built.stdout.strip())


@pytest.fixture(scope="session")
def _installed(extension_zip: Path) -> str:
    bpy.ops.extensions.package_install_files(filepath=str(extension_zip), repo="user_default", enable_on_install=True)
    return "bl_ext.user_default.ani3dhuman"


@pytest.fixture
def addon(_installed: str) -> Iterator[ModuleType]:
    """The installed extension's package, in an empty file; any engine is stopped afterwards."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module=_installed)  # factory settings switch add-ons off
    yield importlib.import_module(_installed)
    importlib.import_module(f"{_installed}.session").session.close().result()


@pytest.fixture
def part(addon: ModuleType):
    """Import a module of the installed extension: part("export.camera")."""
    return lambda name: importlib.import_module(f"{addon.__name__}.{name}")


@pytest.fixture
def session(part):
    """The session of the installed extension."""
    return part("session").session


@pytest.fixture
def bound(addon):
    """A character of three frames, bound; its armature."""
    rig = rigs.character(frames=3)
    bpy.ops.ani3d.bind_character()
    return rig


@pytest.fixture
def unharmed(addon: ModuleType, tmp_path_factory: pytest.TempPathFactory, capfd) -> Iterator[None]:
    """Nothing that the test does prints a traceback, and its file can be saved and opened again."""
    from unharmed import saved_and_reopened

    capfd.readouterr()
    yield
    saved_and_reopened(tmp_path_factory.mktemp("reopened"))
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err, printed.out + printed.err
    assert "Warning: class" not in printed.err, printed.err


@pytest.fixture
def result(addon, tmp_path: Path):
    """A character, and a result of it on disk: (cache folder, arrays, mesh positions of 'Skirt')."""
    rigs.character()
    vertices = len(bpy.data.objects["Skirt"].data.vertices)
    skirt = np.random.default_rng(1).normal(size=(8, vertices, 3)).astype(np.float32)
    folder, arrays = rigs.random_cache(tmp_path / "result" / "Rig.ani3d", (3, 10), meshes={"Skirt": skirt})
    return folder, arrays, skirt
