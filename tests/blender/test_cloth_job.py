"""The job that is cloth alone, from Blender and back: caches of meshes that play, and its first frames before that."""

from __future__ import annotations

import json

import bpy
import numpy as np
import rigs
from test_round_trip import _held_character, engine  # noqa: F401 - the fixture


def _results() -> dict[str, bpy.types.Object]:
    return {item.ani3d.source.name: item for item in bpy.data.objects if item.ani3d.kind == "MESH"}


def test_cloth_alone_comes_back_as_meshes(engine, session, tmp_path, monkeypatch):  # noqa: F811
    _held_character()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.context.scene.frame_end = 400
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot()
    bpy.context.scene.ani3d.preset = "cloth"
    early: list[int] = []

    def look(moment) -> None:
        if moment.stage == "cloth" and 0.1 < moment.factor < 0.5 and not early:
            bpy.ops.ani3d.show_first_frames()
            skirt = _results()["Skirt"]
            modifier = skirt.modifiers["Ani3D"]
            points = np.memmap(bpy.path.abspath(modifier.filepath), "<f4", "r", 32).reshape(-1, 108, 3)
            early.append(len(points))
            bpy.context.scene.frame_set(4)
            np.testing.assert_allclose(rigs.evaluated_vertices(skirt), points[1], atol=1e-5)

    monkeypatch.setattr(session, "listener", look)
    bpy.ops.ani3d.submit()
    bpy.ops.ani3d.follow()
    bpy.ops.ani3d.fetch_result(directory=str(tmp_path / "result"))
    assert early and 1 < early[0] < 398, "some frames were seen before the last was simulated"
    kinds = {item.ani3d.kind for item in bpy.data.objects if item.ani3d.result}
    assert kinds == {"MESH"} and len(_results()) == 2, "the first frames have given way"
    cache = tmp_path / "result" / "Rig.ani3d"
    assert json.loads((cache / "manifest.json").read_text())["count"] == 0
    skirt = np.memmap(cache / "Skirt.pc2", "<f4", "r", 32).reshape(398, -1, 3)
    for frame in (3, 200):
        bpy.context.scene.frame_set(frame)
        np.testing.assert_allclose(rigs.evaluated_vertices(_results()["Skirt"]), skirt[frame - 3], atol=1e-5)
    assert not (tmp_path / "result" / "videos").exists()


def test_first_frames_of_a_job_that_has_none_are_refused(engine, tmp_path):  # noqa: F811
    _held_character()
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    bpy.context.scene.ani3d.preset = "cloth"
    bpy.ops.ani3d.submit()
    bpy.ops.ani3d.follow()
    try:
        bpy.ops.ani3d.show_first_frames()
    except RuntimeError as error:
        assert "No frames are ready yet" in str(error)
    else:
        raise AssertionError("it said nothing")
