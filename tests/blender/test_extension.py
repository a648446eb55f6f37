"""The zip: complete, accepted by Blender's own checks, installable, and self-sufficient."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import bpy
import rigs

INSTALL = """
import sys, bpy
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
import engine.wire, zmq, msgpack
print("engine:", engine.wire.__file__)
print("zmq:", zmq.__file__)
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
    for start in ("ani3dhuman_wire-", "pyzmq-", "msgpack-"):
        assert any(Path(wheel).name.startswith(start) for wheel in wheels)
    for tag in ("cp311", "cp313"):
        assert any(f"-{tag}-" in wheel for wheel in wheels)
    assert not any("tools" in name or "__pycache__" in name for name in names)


def test_wire_wheel_holds_the_client_alone(extension_zip: Path, tmp_path: Path):
    with zipfile.ZipFile(extension_zip) as archive:
        name = next(n for n in archive.namelist() if "ani3dhuman_wire" in n)
        archive.extract(name, tmp_path)
    with zipfile.ZipFile(tmp_path / name) as wheel:
        packages = {str(Path(n).parent) for n in wheel.namelist() if n.endswith(".py")}
    assert packages == {"engine", "engine/wire"}


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
    assert lines["engine"].startswith(str(tmp_path / "user"))
    assert lines["zmq"].startswith(str(tmp_path / "user"))
    for name in ("bind_character", "export_shot", "start_engine", "submit", "follow", "import_result"):
        assert f"'{name}'" in lines["operators"]
    assert lines["left"] == "False [0, 0]"
    assert lines["again"] == "preview"


class _Layout:
    """Stands in for a UILayout: takes every call, and remembers which operators and properties were drawn."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def _sub(self, **_options) -> _Layout:
        return self

    row = column = box = _sub

    def prop(self, owner, name: str, **_options) -> None:
        getattr(owner, name)  # a misspelt property would only fail when drawn
        self.drawn.append(name)

    def operator(self, name: str, **_options):
        category, _, function = name.partition(".")
        assert function in dir(getattr(bpy.ops, category)), name
        self.drawn.append(name)
        return type("Properties", (), {})()

    def label(self, text: str = "", **_options) -> None:
        self.drawn.append(text)

    def progress(self, factor: float, text: str) -> None:
        assert 0 <= factor <= 1
        self.drawn.append(text)


def _draw(part) -> list[str]:
    layout = _Layout()
    for panel in part("ui").CLASSES:
        fake = type(panel.__name__, (), {k: v for k, v in vars(panel).items() if not k.startswith("__")})()
        fake.layout = layout
        fake.draw(bpy.context)
    return layout.drawn


def test_panels_draw_in_an_empty_file(addon, part):
    drawn = _draw(part)
    assert {"ani3d.bind_character", "Bind a character first", "ani3d.start_engine"} <= set(drawn)
    assert "ani3d.export_shot" not in drawn
    bpy.context.scene.ani3d.armature = rigs.armature()
    assert "ani3d.export_shot" in _draw(part)


def test_panels_show_the_progress_of_a_job(addon, part, monkeypatch):
    connection, jobs = part("connection"), part("jobs")
    welcome = SimpleNamespace(engine_version="0.1.0", device="cpu", priors=["compact"])
    client = SimpleNamespace(close=lambda: None)
    link = connection.Link("tcp://127.0.0.1:1", welcome, None, ThreadPoolExecutor(), client)
    monkeypatch.setattr(connection, "_link", link)
    settings = bpy.context.scene.ani3d
    assert "Export a shot first" in _draw(part)
    settings.job_id, settings.shot_path = "7", "/nowhere/shot.npz"
    monkeypatch.setattr(jobs, "current", jobs.Moment("7", "running", "refine", 30, 120, 75.0))
    assert {"Refine: 1 min 15 s left", "ani3d.cancel_job"} <= set(_draw(part))
    monkeypatch.setattr(jobs, "current", jobs.Moment("7", "failed", "refine", 30, 120, 0.0, "No room left."))
    assert {"Job failed", "No room left."} <= set(_draw(part))
    settings.job_id = "8"  # as when another file is opened
    assert "ani3d.follow" in _draw(part)
    assert "No room left." not in _draw(part)
    assert "prior" in _draw(part) and "prompt" not in _draw(part)
    assert part("properties").known_priors() == ["compact", "none"]
    settings.prior = "wan2.1-vace-1.3b"
    assert "prompt" in _draw(part)
    settings.prior = "compact"
    monkeypatch.setattr(jobs, "transfer", jobs.Moment("8", "fetching", "fetch a/b.npy", 1, 4, 3.0))
    assert "Fetching: 3 s left" in _draw(part)
    assert "ani3d.fetch_result" not in _draw(part)


def test_panel_says_why_the_engine_is_gone_in_lines_that_fit(addon, part, monkeypatch):
    text = "The engine is not running. Start it with Start Engine first."
    monkeypatch.setattr(part("jobs"), "error", text)
    drawn = _draw(part)
    assert text not in drawn
    first = next(line for line in drawn if line.startswith("The engine"))
    assert len(first) < 45
    assert text.startswith(first)
