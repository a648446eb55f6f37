"""Manners of the extension that no other page tests: what is drawn anew, how lists search, which operators do harm."""

from __future__ import annotations

from types import SimpleNamespace

import bpy
import pytest
import rigs


class _Region(SimpleNamespace):
    def tag_redraw(self) -> None:
        self.drawn.append(self.type)


def test_progress_draws_the_sidebar_and_no_view(part, monkeypatch):
    """A view of a heavy scene takes a second to draw, and the timer runs four times a second."""
    drawn: list[str] = []
    regions = [_Region(type=kind, drawn=drawn) for kind in ("WINDOW", "HEADER", "UI", "TOOLS")]
    areas = [SimpleNamespace(type=kind, regions=regions) for kind in ("VIEW_3D", "PROPERTIES")]
    window = SimpleNamespace(screen=SimpleNamespace(areas=areas))
    context = SimpleNamespace(window_manager=SimpleNamespace(windows=[window]))
    monkeypatch.setattr(part("session").bpy, "context", context, raising=False)
    part("session").redraw()
    monkeypatch.undo()
    assert drawn == ["UI"]


def test_lists_that_are_searched_find_what_there_is(part, monkeypatch):
    """Blender calls them by their annotation, whose names it looks up elsewhere: functions, no lambdas."""
    properties = part("properties")
    assert {"compact", "none"} <= set(properties._find_priors(None, bpy.context, ""))
    assert "silk" in properties._find_fabrics(None, bpy.context, "")
    for cls in properties.CLASSES:
        for keywords in (each.keywords for each in cls.__annotations__.values() if hasattr(each, "keywords")):
            for name in ("search", "poll", "update", "get", "set"):
                assert getattr(keywords.get(name), "__name__", "") != "<lambda>"


def test_every_operator_says_what_it_does(addon, part):
    for cls in part("operators").CLASSES:
        assert cls.__doc__ and len(cls.bl_label) > 3 and cls.bl_idname.startswith("ani3d."), cls


@pytest.mark.parametrize("end", [5, 4])
def test_a_changed_scene_is_another_shot(addon, part, end, tmp_path):
    """Animate once sent the old shot after the scene's End had been changed."""
    rigs.character(frames=3)
    bpy.ops.ani3d.bind_character()
    bpy.context.scene.frame_end = end
    export = part("export.shot")
    request = export.Request(bpy.context.scene.ani3d.armature, export.shot_frames(bpy.context.scene), False)
    steps = export.export_steps(bpy.context, request, print)
    try:
        while True:
            next(steps)
    except StopIteration as finished:
        shot = finished.value
    assert len(shot["viewmats"]) == end - 2


def test_saving_draws_no_gaussians_and_leaves_the_preferences(result, tmp_path):
    paths, during = bpy.context.preferences.filepaths, []

    def look(*_arguments: object) -> None:
        during.append(paths.file_preview_type)

    paths.file_preview_type = "AUTO"
    bpy.app.handlers.save_pre.append(look)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
        bpy.ops.ani3d.import_result(directory=str(result[0]))
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
        bpy.ops.ani3d.show_result(name="Rig", what="MESH")
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    finally:
        bpy.app.handlers.save_pre.remove(look)
    assert during == ["AUTO", "SCREENSHOT", "AUTO"] and paths.file_preview_type == "AUTO"
