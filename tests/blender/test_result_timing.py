"""A result plays later, faster and in a loop, all of its parts alike."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs


def _copy() -> bpy.types.Object:
    return next(item for item in bpy.data.objects if item.ani3d.kind == "MESH")


def _assert_sample(part, result, frame: int, sample: float) -> None:
    """At a frame of the scene all parts show a sample of the cache, or what lies halfway between two."""
    _, arrays, skirt = result
    before, share = int(sample), sample % 1
    bpy.context.scene.frame_set(frame)
    shown = rigs.shown_gaussians(part, rigs.gaussians())["position"]
    for found, truth in ((shown, arrays["position"]), (rigs.evaluated_vertices(_copy()), skirt)):
        after = truth[min(before + 1, len(truth) - 1)]
        np.testing.assert_allclose(found, (1 - share) * truth[before] + share * after, atol=1e-4)


@pytest.fixture
def timing(result):
    bpy.ops.ani3d.import_result(directory=str(result[0]))
    return rigs.gaussians().ani3d


def test_a_result_plays_later_and_at_another_speed(result, part, timing):
    timing.offset = 4
    assert _copy().ani3d.offset == 4
    for frame, sample in ((7, 0), (9, 2), (3, 0), (40, 7)):
        _assert_sample(part, result, frame, sample)
    _copy().ani3d.speed = 0.5
    for frame, sample in ((7, 0), (9, 1), (10, 1.5), (21, 7), (40, 7)):
        _assert_sample(part, result, frame, sample)
    timing.offset, timing.speed = 0, 1
    _assert_sample(part, result, 6, 3)


def test_a_result_plays_in_a_loop_in_both_directions_of_time(result, part, timing, tmp_path):
    timing.loop, timing.offset = True, 1
    driver = _copy().animation_data.drivers[0].driver
    assert driver.is_simple_expression, "Blender would ask before it runs a script"
    for frame, sample in ((4, 0), (11, 7), (12, 0), (14, 2), (3, 7), (-5, 7), (100, 0)):
        _assert_sample(part, result, frame, sample)
    path = str(tmp_path / "looped.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    _assert_sample(part, result, 14, 2)
    rigs.gaussians().ani3d.loop = False
    for frame, sample in ((14, 7), (6, 2)):
        _assert_sample(part, result, frame, sample)


def test_time_remapping_does_not_change_the_loop(result, part):
    render = bpy.context.scene.render
    render.frame_map_old, render.frame_map_new = 100, 50
    bpy.ops.ani3d.import_result(directory=str(result[0]))
    rigs.gaussians().ani3d.loop = True
    for frame, sample in ((3, 0), (10, 7), (11, 0), (13, 2)):
        _assert_sample(part, result, frame, sample)


def test_a_result_that_is_imported_again_keeps_its_time(result, part, timing):
    timing.offset, timing.loop = 2, True
    bpy.ops.ani3d.import_result(directory=str(result[0]))
    for frame, sample in ((5, 0), (14, 1)):
        _assert_sample(part, result, frame, sample)


def test_what_needs_the_shots_own_frames_refuses_a_retimed_result(result, timing):
    timing.speed = 2
    with pytest.raises(RuntimeError, match="plays at another time"):
        bpy.ops.ani3d.render_shot(result="Rig")
