"""What the viewport shows of Gaussians in a Blender that does not draw splats itself."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs


def test_the_viewport_shows_points_until_ellipsoids_are_asked_for(result, part):
    if part("compat").draws_splats():
        pytest.skip("this Blender draws splats itself")
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))

    def shown():
        return rigs.gaussians().evaluated_get(bpy.context.evaluated_depsgraph_get()).data

    radii = np.array([point.radius for point in shown().points])
    assert len(radii) == 50
    np.testing.assert_allclose(radii, 1.6 * np.sqrt((arrays["scale"] ** 2).mean(1)), rtol=1e-5)
    part("viewport_points").switch().boolean = True
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    assert len([each for each in graph.object_instances if each.is_instance and each.object.type == "MESH"]) == 50


def _points() -> int:
    return len(rigs.gaussians().evaluated_get(bpy.context.evaluated_depsgraph_get()).data.points)


def test_of_very_many_gaussians_the_viewport_shows_some(result, part):
    if part("compat").draws_splats():
        pytest.skip("this Blender draws splats itself")
    folder, arrays, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.context.scene.frame_set(7)
    rigs.gaussians().ani3d.points = 20

    def shown():
        return rigs.gaussians().evaluated_get(bpy.context.evaluated_depsgraph_get()).data

    assert len(shown().points) == 17  # of 50 every third, as large as three
    radii = np.array([point.radius for point in shown().points])
    np.testing.assert_allclose(radii, 1.6 * np.sqrt((arrays["scale"][::3] ** 2).mean(1) * 3), rtol=1e-5)
    places = rigs.read_attribute(part, shown().attributes["position"], 3)
    np.testing.assert_allclose(places, arrays["position"][4, ::3], atol=1e-6)
    part("viewport_points").switch().boolean = True
    bpy.context.view_layer.update()
    rigs.assert_shows(part, rigs.gaussians(), arrays, 4)


def test_how_many_points_the_viewport_shows_is_chosen_and_kept(result, part, tmp_path):
    if part("compat").draws_splats():
        pytest.skip("this Blender draws splats itself")
    folder, _, _ = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    name = rigs.gaussians().ani3d.result
    assert rigs.gaussians().ani3d.points == 20_000
    parts = part("import_result").parts_of(name)
    for most, shown in ((10, 10), (49, 25), (0, 50), (1, 1), (50, 50), (7, 7)):
        parts[0].ani3d.points = most  # at any part of the result
        assert {item.ani3d.points for item in parts} == {most}
        assert _points() == shown
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "kept.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "kept.blend"))
    assert (rigs.gaussians().ani3d.points, _points()) == (7, 7)
    bpy.ops.ani3d.import_result(directory=str(folder))
    assert (rigs.gaussians().ani3d.points, _points()) == (7, 7)
