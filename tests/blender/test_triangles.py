"""Triangles that are told from the faces of a mesh are Blender's own."""

from __future__ import annotations

import bpy
import numpy as np
import pytest


@pytest.mark.parametrize("singly", [0, 4096])
def test_triangles_are_those_that_blender_draws(addon, part, monkeypatch, singly: int):
    """Of faces with three to seven corners, folded, dented and flat."""
    triangles = part("export.triangles")
    monkeypatch.setattr(triangles, "READ_SINGLY", singly)
    rng, faces, count = np.random.default_rng(4), [], 0
    for corners in rng.integers(3, 8, 400).tolist():
        faces.append(list(range(count, count + corners)))
        count += corners
    points = rng.normal(size=(count, 3))
    points[: count // 2, 2] = 0  # flat ones, many of them dented
    mesh = bpy.data.meshes.new("Faces")
    mesh.from_pydata(points.tolist(), [], faces)
    mesh.calc_loop_triangles()
    expected = np.array([[*t.vertices, *t.loops, t.polygon_index] for t in mesh.loop_triangles])
    vertices, corners = triangles.triangles_of(mesh)
    np.testing.assert_array_equal(np.c_[vertices, corners], expected[:, :6])
    np.testing.assert_array_equal(triangles.Faces.read(mesh).triangles()[1], expected[:, 6])
    empty, _ = triangles.triangles_of(bpy.data.meshes.new("Nothing"))
    assert empty.shape == (0, 3)


def test_weights_of_vertices_are_kept_in_blenders_order(addon, part):
    weights = part("export.weights")
    pairs = weights.Pairs(np.array([2, 0, 1]), np.array([5, 3, 4]), np.array([0.25, 0.75, 1.0]))
    again = pairs.of(np.array([2, 0, 0, 1])).filled(9)
    assert again.counts.tolist() == [1, 2, 2, 1]
    assert again.rows.tolist() == [4, 5, 3, 5, 3, 9]
    indices, values = weights.joined([again])
    assert indices.tolist() == [[4, 0], [5, 3], [5, 3], [9, 0]]
    assert values.tolist() == [[1, 0], [0.25, 0.75], [0.25, 0.75], [1, 0]]
