"""Gaussians of hair strands: a chain along each, as thick as it, beside those of the rest of the character."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_arrays

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.hair_ribbons import ribbons
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.avatar.fitting.fitted import fitted_avatar
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.avatar.shading import shade
from ani3dhuman.avatar.strand_gaussians import fibre_normals, turned_to
from ani3dhuman.rendering.light_sources import Lighting

POINTS = 8
STARTS = np.array([[0.01 * k, 0.3, 1.6] for k in range(30)])
WAY = np.array([0.03, 0.02, -0.3])


def hairy(strands=30, thickness=0.002):
    """The synthetic character with straight strands behind it, all in the direction `WAY`."""
    import json

    arrays = make_arrays(2)
    points = STARTS[:1] + 0.005 * np.arange(strands)[:, None] * [1, 0, 0]
    points = points[:, None] + np.linspace(0, 1, POINTS)[None, :, None] * WAY
    vertices, faces = ribbons(points, np.full((strands, POINTS), thickness))
    count, new = len(arrays["vertices"]), len(vertices)
    meta = json.loads(str(arrays["meta"]))
    meta["objects"].append({"name": "Strands", "vertex_start": count, "vertex_count": new, "strands": POINTS})
    arrays["meta"] = np.array(json.dumps(meta))
    more = {
        "vertices": vertices,
        "faces": faces + count,
        "face_uvs": np.zeros((len(faces), 3, 2)),
        "face_materials": np.zeros(len(faces)),
        "vertex_tints": np.ones((new, 3)),
        "weight_indices": np.tile([2, 0, 1], (new, 1)),
        "weight_values": np.tile([1.0, 0, 0], (new, 1)),
        "region_ids": np.full(new, 2),
    }
    for name, values in more.items():
        arrays[name] = np.concatenate([arrays[name], values.astype(arrays[name].dtype)])
    return Shot.from_arrays(arrays), count


def test_pictures_show_the_whole_width_of_strands_from_all_sides():
    shot, start = hairy(thickness=0.004)
    eye = np.array([2.0, 5.0, 1.0])
    turned = turned_to(shot, shot["vertices"], eye)
    np.testing.assert_array_equal(turned[:start], shot["vertices"][:start])
    left, right = turned[start::2], turned[start + 1 :: 2]
    np.testing.assert_allclose(np.linalg.norm(right - left, axis=1), 0.004, rtol=1e-3)
    np.testing.assert_allclose((left + right) / 2, (shot["vertices"][start::2] + shot["vertices"][start + 1 :: 2]) / 2)
    assert np.abs(((right - left) * (eye - left)).sum(1)).max() < 1e-4 and np.abs((right - left) @ WAY).max() < 1e-5


def test_a_fit_leaves_strands_round_and_where_they_are():
    shot, start = hairy(thickness=0.006)
    found = fitted_avatar(shot, 1500, 120, 0, Progress("avatar", 1)).avatar
    own = of_strands(shot, start, found)
    assert len(own) and np.array_equal(found.fibres, own)
    means, _ = found.pose(shot["vertices"][None])
    away = means[0, own] - STARTS[0]
    along = away @ WAY / (WAY @ WAY)
    aside = away - along[:, None] * WAY
    np.testing.assert_allclose(np.linalg.norm(aside[:, 1:], axis=1), np.abs(aside[:, 2]), atol=0.02)
    width = found.scales[own, 1] / (0.4 * 0.006)
    assert width.min() > 0.49 and width.max() < 2.01 and width.std() > 0.01
    assert found.opacities[own].std() > 1e-4


def of_strands(shot, start, avatar):
    return np.flatnonzero(shot["faces"][avatar.binding.triangle_ids.numpy()][:, 0] >= start)


def test_gaussians_lie_on_the_strands_and_along_them():
    shot, start = hairy()
    avatar = avatar_from_shot(shot, 3000, DETAIL)
    own = of_strands(shot, start, avatar)
    means, quats = avatar.pose(shot["vertices"][None])
    away = means[0, own] - STARTS[0]
    away -= np.round(away[:, :1] / 0.005 - (away[:, 2:] / WAY[2]) * WAY[0] / 0.005) * [[0.005, 0, 0]]
    along = away @ WAY / (WAY @ WAY)
    np.testing.assert_allclose(away, along[:, None] * WAY, atol=1e-5)
    assert along.min() > 0 and along.max() < 1
    w, x, y, z = quats[0, own].T
    first = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], 1)
    assert np.abs(first @ WAY).min() / np.linalg.norm(WAY) > 0.999
    scales = avatar.scales[own]
    assert (scales[:, 0] > 3 * scales[:, 1]).all()
    np.testing.assert_allclose(scales[:, 1], 0.4 * 0.002, rtol=1e-3)
    each = len(own) / 30
    assert each == int(each)
    np.testing.assert_allclose(scales[:, 0], 0.4 * np.linalg.norm(WAY) / each, rtol=1e-3)
    assert (avatar.region_ids[own] == 2).all()


@pytest.mark.parametrize(("strands", "count"), [(5, 2000), (30, 300), (400, 1000), (2000, 500)])
def test_they_share_the_count_with_the_rest(strands, count):
    shot, start = hairy(strands)
    avatar = avatar_from_shot(shot, count, DETAIL)
    own = of_strands(shot, start, avatar)
    assert 0 < len(own) <= 0.36 * count
    assert abs(avatar.count - count) < 0.05 * count


def test_fewer_strands_stand_for_all_and_are_wider():
    thick = [
        avatar.scales[of_strands(shot, start, avatar), 1].mean()
        for shot, start in [hairy(1000, 0.0005)]
        for avatar in [avatar_from_shot(shot, n, DETAIL) for n in (400, 20_000)]
    ]
    assert thick[0] > 2 * thick[1]


def test_a_mesh_that_is_no_ribbon_is_sampled_as_any_other():
    shot, start = hairy()
    shot["faces"][-1] = shot["faces"][-1][[1, 2, 0]]
    avatar = avatar_from_shot(shot, 3000, DETAIL)
    scales = avatar.scales[of_strands(shot, start, avatar)]
    np.testing.assert_array_equal(scales[:, 0], scales[:, 1])


def test_a_strand_is_lit_as_the_cylinder_that_it_is():
    """From the eye's side as a round thing, from its flank a third of that, from behind not at all."""
    shot, start = hairy()
    avatar = replace(avatar_from_shot(shot, 3000, DETAIL), gloss=None)
    own = of_strands(shot, start, avatar)
    np.testing.assert_array_equal(avatar.fibres, own)
    eye = np.array([[0.15, 50.0, 1.5]])
    found = []
    for way in ((0, -1, 0), (-1, 0, 0), (1, 0, 0), (0, 1, 0)):
        sun = Lighting(np.array([way], float), np.full((1, 3), 2.0), np.zeros(3), np.array([[0.0, 0.0]]))
        light = srgb_to_linear(shade(avatar, shot["vertices"][None], sun, eye)[0, own]) / avatar.albedo[own]
        found.append(light.mean() / (2 / np.pi))
    reflected = found[3]  # what the body sends on is there from all sides
    assert found[0] - reflected == pytest.approx(np.pi / 4, abs=0.08)
    assert found[1] == pytest.approx(found[2], abs=0.06)
    assert found[1] - reflected == pytest.approx(0.25, abs=0.06)


def test_normals_of_fibres_face_the_eye():
    rng = np.random.default_rng(0)
    along, towards = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 50, 3)))
    normals = fibre_normals(along, towards)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1, atol=1e-9)
    np.testing.assert_allclose((normals * along).sum(2), 0, atol=1e-9)
    assert ((normals * towards).sum(2) > 0).all()
