"""From a file to a moving, rendered result without a window, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
from test_round_trip import ENGINE, _held_character

ROOT = Path(__file__).parents[2]


def headless(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "resources")}
    command = [sys.executable, "-m", "blender_addon.headless", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_a_file_becomes_a_rendered_result(addon, extension_zip, tmp_path):
    _held_character()
    scene = bpy.context.scene
    scene.frame_end = scene.frame_start + 3
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 32, 48, 100
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "walk.blend"))
    out = tmp_path / "out"
    words = ["--out", str(out), "--extension", str(extension_zip), "--engine", ENGINE, "--render"]
    done = headless(tmp_path, str(tmp_path / "walk.blend"), *words, "--settings", json.dumps({"preset": "cloth"}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == str(out / "walk_result.blend")
    assert len(list((out / "frames").glob("walk_*.png"))) == 4
    bpy.ops.wm.open_mainfile(filepath=str(out / "walk_result.blend"))
    assert {item.ani3d.kind for item in bpy.data.objects if item.ani3d.result} == {"MESH"}


def test_a_file_without_a_character_is_one_line(addon, extension_zip, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "empty.blend"))
    words = ["--out", str(tmp_path / "out"), "--extension", str(extension_zip), "--engine", ENGINE]
    done = headless(tmp_path, str(tmp_path / "empty.blend"), *words)
    assert done.returncode == 1 and "armature" in done.stderr.splitlines()[-1]
