"""What is not smooth in Blender is not smooth in the shot either."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs

from ani3d_formats.shot import Shot


def _exported(part, rig) -> Shot:
    return Shot.from_arrays(part("export").export_shot(bpy.context, rig))


def _sides(shot: Shot) -> np.ndarray:
    corners = shot["vertices"][shot["faces"]]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)


@pytest.mark.parametrize("mirrored", [False, True])
def test_flat_faces_have_their_own_normals(addon, part, mirrored):
    rig = rigs.character()
    body = bpy.data.objects["Body"]
    body.data.shade_flat()
    if mirrored:
        body.scale = (-1, 1, 1)
    shot = _exported(part, rig)
    alike = (shot["corner_normals"] * _sides(shot)[:, None]).sum(2)
    assert np.median(alike) > 0.999 and alike.min() > 0.9


def test_normals_that_the_artist_set_are_kept(addon, part):
    rig = rigs.character()
    mesh = bpy.data.objects["Body"].data
    mesh.shade_smooth()
    mesh.normals_split_custom_set_from_vertices([(0.0, 0.6, 0.8)] * len(mesh.vertices))
    shot = _exported(part, rig)
    turn = np.array(bpy.data.objects["Body"].matrix_world)[:3, :3]
    expected = np.linalg.inv(turn).T @ (0.0, 0.6, 0.8)
    first = shot["corner_normals"][0, 0]
    np.testing.assert_allclose(first, expected / np.linalg.norm(expected), atol=0.01)
