"""The zip: complete, accepted by Blender's own checks, installable, and self-sufficient."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from ast import literal_eval
from pathlib import Path

import pytest

from tools.build_extension import REQUIREMENTS
from tools.carry import relative_imports

ROOT = Path(__file__).resolve().parents[2]
PINNED = dict(requirement.split("==") for requirement in REQUIREMENTS)
INSTALL = """
import sys, bpy
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
import importlib, importlib.util, pkgutil, zmq, msgpack
from pathlib import Path
from bl_ext.user_default.ani3dhuman import carried
print("zmq:", zmq.__file__)
print("site:", sorted(entry.name for entry in Path(zmq.__file__).parents[1].iterdir()))
print("foreign:", [name for name in ("engine", "ani3d_formats", "ani3dhuman") if importlib.util.find_spec(name)])
print("carried:", [importlib.import_module(module.name).__name__
    for module in pkgutil.walk_packages(carried.__path__, carried.__name__ + ".")])
print("operators:", sorted(name for name in dir(bpy.ops.ani3d) if not name.startswith("_")))
bpy.ops.preferences.addon_disable(module="bl_ext.user_default.ani3dhuman")
print("left:", hasattr(bpy.types.Scene, "ani3d"), [len(h) for h in (
    bpy.app.handlers.frame_change_pre, bpy.app.handlers.save_pre)])
bpy.ops.preferences.addon_enable(module="bl_ext.user_default.ani3dhuman")
print("again:", bpy.context.scene.ani3d.preset)
sys.stdout.flush()
"""


def test_manifest_and_content(extension_zip: Path):
    with zipfile.ZipFile(extension_zip) as archive:
        names = set(archive.namelist())
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert manifest["id"] == "ani3dhuman"
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    assert set(manifest["permissions"]) == {"network", "files"}
    wheels = [wheel.removeprefix("./") for wheel in manifest["wheels"]]
    assert set(wheels) <= names
    assert {Path(wheel).name.split("-")[0] for wheel in wheels} == {"pyzmq", "msgpack"}
    for tag in ("cp311", "cp313"):
        assert any(f"-{tag}-" in wheel for wheel in wheels)
    assert not any("tools" in name or "__pycache__" in name for name in names)


def test_what_is_carried_is_the_source_but_for_imports(extension_zip: Path):
    with zipfile.ZipFile(extension_zip) as archive:
        names = [name for name in archive.namelist() if name.startswith("carried/") and name.endswith(".py")]
        copies = {name.removeprefix("carried/"): archive.read(name).decode() for name in names}
    del copies["__init__.py"]
    sources = {f"wire/{file.name}": file for file in (ROOT / "engine" / "wire").glob("*.py")}
    sources |= {f"formats/{file.name}": file for file in (ROOT / "ani3d_formats").glob("*.py")}
    assert set(copies) == set(sources)
    for name, copy in copies.items():
        pairs = zip(sources[name].read_text().splitlines(), copy.splitlines(), strict=True)
        for source, copied in pairs:
            assert copied == source or (source.lstrip().startswith("from ") and copied.lstrip().startswith("from .."))


@pytest.mark.parametrize(
    ("source", "depth", "copy"),
    [
        ("from engine.wire import Client", 1, "from .carried.wire import Client"),
        ("def f():\n    from ani3d_formats.pc2 import (\n        a,\n    )", 3,
         "def f():\n    from ...carried.formats.pc2 import (\n        a,\n    )"),
        ('"""\nfrom engine.wire import Client\n"""', 1, '"""\nfrom engine.wire import Client\n"""'),
    ],
)  # fmt: skip
def test_imports_become_relative(source: str, depth: int, copy: str):
    assert relative_imports(source, depth, "x.py") == copy


@pytest.mark.parametrize("line", ["import engine.wire", "from engine import wire", "from ani3dhuman.mesh import skin"])
def test_the_build_refuses_an_import_that_blender_could_not_resolve(line: str):
    with pytest.raises(SystemExit, match=r"x\.py, line 1: .* cannot be imported"):
        relative_imports(line, 1, "x.py")


def test_installs_in_a_fresh_blender_without_the_repository(extension_zip: Path, tmp_path: Path):
    script = tmp_path / "install.py"
    script.write_text(INSTALL)
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user")}
    environment.pop("PYTHONPATH", None)
    result = subprocess.run(
        [sys.executable, str(script), str(extension_zip)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines() if ": " in line)
    assert lines["zmq"].startswith(str(tmp_path / "user"))
    assert set(literal_eval(lines["site"])) == {
        "zmq", "pyzmq.libs", f"pyzmq-{PINNED['pyzmq']}.dist-info", "msgpack", f"msgpack-{PINNED['msgpack']}.dist-info"
    }  # fmt: skip
    assert lines["foreign"] == "[]"
    carried = {name.partition(".carried.")[2] for name in literal_eval(lines["carried"])}
    assert {"wire.client", "formats.pc2"} <= carried  # all of them load with what Blender has
    for name in ("bind_character", "export_shot", "start_engine", "submit", "follow", "import_result"):
        assert f"'{name}'" in lines["operators"]
    assert lines["left"] == "False [0, 0]"
    assert lines["again"] == "preview"
