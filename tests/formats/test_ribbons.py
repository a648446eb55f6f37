"""Strands as ribbons: the layout that a shot promises, a width everywhere, a side that looks outwards."""

import numpy as np
import pytest

from ani3d_formats.hair_ribbons import THINNEST, across, resampled, ribbon_faces, ribbons, tangents


def hair(strands=6, points=5):
    """Strands from a small circle outwards and down."""
    angle = np.arange(strands) / strands * 2 * np.pi
    out = np.stack([np.cos(angle), np.sin(angle), np.zeros(strands)], 1)[:, None]
    t = np.linspace(0, 1, points)[None, :, None]
    return 0.1 * out + 0.05 * t * out - 0.2 * t**2 * [0, 0, 1]


def test_vertices_are_left_and_right_of_each_point_root_first():
    points = hair()
    thickness = np.linspace(0.004, 0.001, 5)[None] * np.ones((6, 1))
    vertices, faces = ribbons(points, thickness)
    assert vertices.shape == (60, 3) and faces.shape == (6 * 4 * 2, 3)
    pairs = vertices.reshape(6, 5, 2, 3)
    np.testing.assert_allclose(pairs.mean(2), points, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(pairs[:, :, 1] - pairs[:, :, 0], axis=2), thickness, atol=1e-12)
    assert set(faces[:8].ravel()) == set(range(10)), "strand by strand"
    assert (np.bincount(faces.ravel(), minlength=60) > 0).all()


def test_a_ribbon_is_square_to_its_strand_and_faces_outwards():
    points = hair(24)
    vertices, faces = ribbons(points, np.full((24, 5), 0.002))
    side = np.diff(vertices.reshape(24, 5, 2, 3), axis=2)[:, :, 0]
    assert np.abs((side * tangents(points)).sum(-1)).max() < 1e-9
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    out = corners.mean(1) * [1, 1, 0]
    outwards = np.abs((normals * out).sum(1)) / np.linalg.norm(out, axis=1)
    assert outwards.min() > 0.5
    first, second = normals[0::2], normals[1::2]
    assert (first * second).sum(1).min() > 0.9, "both triangles of a segment face one way"


@pytest.mark.parametrize(
    "line",
    [
        np.c_[np.zeros((4, 2)), np.arange(4)],  # straight, and through the middle of the roots
        np.c_[np.arange(4), np.zeros((4, 2))],
        np.zeros((4, 3)),
        np.repeat([[0.0, 0, 0], [0, 0, 1]], 2, axis=0),
        np.array([[0.0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 1]]),
    ],
)
def test_odd_strands_have_a_width_too(line):
    vertices, _ = ribbons(line[None], np.zeros((1, 4)))
    width = np.linalg.norm(np.diff(vertices.reshape(4, 2, 3), axis=1), axis=2)
    np.testing.assert_allclose(width, THINNEST, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(across(line[None].astype(float)), axis=-1), 1, rtol=1e-9)


def test_first_edges_of_faces_run_along_the_strand():
    faces = ribbon_faces(2, 3)
    assert (np.abs(faces[:, 1] - faces[:, 0]) == 2).all()


def test_resampling_is_even_along_the_line():
    line = np.array([[0, 0, 0, 2.0], [1, 0, 0, 1], [1, 3, 0, 0]])
    expected = np.array([[0, 0, 0, 2], [1, 0, 0, 1], [1, 1, 0, 2 / 3], [1, 2, 0, 1 / 3], [1, 3, 0, 0]])
    there, back = resampled(np.stack([line, line[::-1]]), 5)
    np.testing.assert_allclose(there, expected, atol=1e-12)
    np.testing.assert_allclose(back, expected[::-1], atol=1e-12)
