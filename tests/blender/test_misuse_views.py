"""Misuse of Capture Views: what cannot be rendered, cannot be written, is deleted or stopped meanwhile."""

from __future__ import annotations

from pathlib import Path

import bpy
import pytest
import rigs
from unharmed import refused, unchanged
from viewed import few_small_views

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.fixture
def bound(addon) -> bpy.types.Object:
    rig = rigs.character(frames=3)
    bpy.ops.ani3d.bind_character()
    few_small_views()
    return rig


def _break(how: str, rig: bpy.types.Object) -> None:
    scene, body = bpy.context.scene, bpy.data.objects["Body"]
    if how == "meshes deleted":
        bpy.data.objects.remove(body)
        bpy.data.objects.remove(bpy.data.objects["Skirt"])
    elif how == "armature deleted":
        bpy.data.objects.remove(rig)
    elif how == "edit mode":
        bpy.ops.object.mode_set(mode="EDIT")
    elif how == "rest position":
        rig.data.pose_position = "REST"
    elif how == "one frame":
        scene.frame_end = scene.frame_start
    elif how == "no number":
        body.data.vertices[3].co.x = float("nan")
    elif how == "not in the view layer":
        for item in (rig, body, bpy.data.objects["Skirt"]):
            scene.collection.objects.unlink(item)


@pytest.mark.parametrize(
    "how",
    ["meshes deleted", "armature deleted", "edit mode", "rest position", "one frame", "no number",
     "not in the view layer"],
)  # fmt: skip
def test_what_cannot_be_rendered(bound, tmp_path, how):
    _break(how, bound)
    assert refused(bpy.ops.ani3d.capture_views, filepath=str(tmp_path / "a.views.npz"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["/proc/sys/a.views.npz", "/", "//a.views.npz", "x" * 300])
def test_where_nothing_can_be_written(bound, path):
    assert refused(bpy.ops.ani3d.capture_views, filepath=path)


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
def test_stopped_at_any_step(bound, part, stop):
    capture = part("views.capture")
    settings = bpy.context.scene.ani3d
    with unchanged():
        wanted = capture.Wanted(
            bound, part("export.shot").shot_frames(bpy.context.scene), settings.views, settings.views_size,
            settings.views_samples,
        )  # fmt: skip
        steps = capture.capture_steps(bpy.context, wanted, lambda _text: None)
        for _ in range(stop):
            next(steps, None)
        steps.close()


@pytest.mark.parametrize("gone", ["Body", "Rig", "Camera"])
def test_something_is_deleted_meanwhile(bound, part, monkeypatch, tmp_path: Path, gone):
    scene = bpy.context.scene
    calls = []

    def delete(*_arguments) -> None:
        calls.append(scene.frame_current)
        if len(calls) == 3 and gone in bpy.data.objects:
            bpy.data.objects.remove(bpy.data.objects[gone])

    bpy.app.handlers.frame_change_post.append(delete)
    try:
        bpy.ops.ani3d.capture_views(filepath=str(tmp_path / "a.views.npz"))
    except RuntimeError as error:
        assert str(error).count("Error:") == 1 and "ReferenceError" not in str(error), error
    finally:
        bpy.app.handlers.frame_change_post.remove(delete)
    assert scene.frame_current == 3 and scene.render.engine != "CYCLES" and len(bpy.data.scenes) == 1
