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


def test_of_very_many_gaussians_the_viewport_shows_some(result, part, monkeypatch):
    if part("compat").draws_splats():
        pytest.skip("this Blender draws splats itself")
    folder, arrays, _ = result
    monkeypatch.setattr(part("viewport_points"), "MOST", 20)
    bpy.ops.ani3d.import_result(directory=str(folder))
    bpy.context.scene.frame_set(7)

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
