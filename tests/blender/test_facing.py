"""Gaussians turned to the camera cover the same ellipses of the picture, and stand flat across the view."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from mathutils import Matrix, Quaternion

COUNT = 20


def _camera(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """A camera of the scene, somewhere; its rotation (3,3) and place (3,)."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.type = kind
    scene.collection.objects.link(camera)
    scene.camera = camera
    turn = Quaternion((0.8, 0.5, -0.2, 0.3)).normalized()
    camera.matrix_world = Matrix.Translation((0.4, -0.7, 0.2)) @ turn.to_matrix().to_4x4()
    return np.array(turn.to_matrix()), np.array((0.4, -0.7, 0.2))


def _axes(quats: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """(N,3,3): the columns are the axes of Gaussians, standard deviations long."""
    return np.array([np.array(Quaternion(quat).to_matrix()) for quat in quats]) * scales[:, None]


def _ellipses(axes: np.ndarray, points: np.ndarray, perspective: bool) -> np.ndarray:
    """(N,2,2) covariances across the view through the centres; all in the camera's frame."""
    slopes = points[:, :2] / points[:, 2:] * perspective
    sides = axes[:, :2] - slopes[..., None] * axes[:, 2:]
    return sides @ sides.transpose(0, 2, 1)


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
def test_facing_gaussians_cover_what_the_others_cover(addon, part, kind):
    if kind == "ORTHO" and bpy.app.version < (5, 0):
        pytest.skip("nodes cannot ask for the kind of camera")
    turn, place = _camera(kind)
    rng = np.random.default_rng(3)
    points = rng.uniform(-1, 1, (COUNT, 3)) - [0, 0, 4]  # in the camera's frame
    quats, scales = rng.normal(size=(COUNT, 4)), rng.uniform(0.002, 0.2, (COUNT, 3))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    cloud = part("compat").new_point_cloud_object("Cloud", COUNT, bpy.context.scene.collection)
    values = {"position": points @ turn.T + place, "rotation": quats, "scale": scales}
    for name, kind_of in (("position", "FLOAT_VECTOR"), ("rotation", "QUATERNION"), ("scale", "FLOAT_VECTOR")):
        attribute = cloud.data.attributes.get(name) or cloud.data.attributes.new(name, kind_of, "POINT")
        field = part("compat").values_field(attribute)
        attribute.data.foreach_set(field, values[name].astype(np.float32).ravel())
    nodes = cloud.modifiers.new("Facing", "NODES")
    nodes.node_group = tree = part("facing").facing()
    shown = cloud.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    np.testing.assert_allclose(rigs.read_attribute(part, shown.attributes["scale"], 3), scales, rtol=1e-6)
    viewport = next(node for node in tree.nodes if node.bl_idname == "GeometryNodeIsViewport")
    tree.links.remove(viewport.outputs[0].links[0])  # as in renders
    shown = cloud.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    found = {
        name: rigs.read_attribute(part, shown.attributes[name], width)
        for name, width in (("position", 3), ("rotation", 4), ("scale", 3))
    }
    np.testing.assert_allclose(found["position"], values["position"], atol=1e-6)
    facing = turn.T @ _axes(found["rotation"], found["scale"])
    np.testing.assert_allclose(facing[:, 2, :2], 0, atol=1e-6)  # both axes lie across the view
    np.testing.assert_allclose(found["scale"][:, 2], found["scale"][:, 1] / part("facing").SHRINK * 0.02, rtol=1e-4)
    before = _ellipses(turn.T @ _axes(quats, scales), points, kind == "PERSP")
    after = facing[:, :2, :2] @ facing[:, :2, :2].transpose(0, 2, 1)
    np.testing.assert_allclose(after, before * part("facing").SHRINK ** 2, atol=1e-6 + 1e-4 * before.max())
