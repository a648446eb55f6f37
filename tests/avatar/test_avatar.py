"""An avatar made from a mesh: it covers the surface, wears the texture, takes the light."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from synthetic import make_arrays, make_shot

from ani3d_formats.color import linear_to_srgb, srgb_to_linear
from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot, shade
from ani3dhuman.avatar.from_mesh import OVERLAP
from ani3dhuman.rendering.light_sources import Lighting


@pytest.fixture(scope="module")
def shot():
    return make_shot()


@pytest.fixture(scope="module")
def avatar(shot):
    return avatar_from_shot(shot, 4000, {1: 4.0})


def test_gaussians_lie_on_the_mesh_and_cover_it_evenly(shot, avatar):
    means, quats = avatar.pose(shot["vertices"][None])
    assert avatar.count == pytest.approx(4000, rel=0.04)
    assert means.shape == (1, avatar.count, 3) and quats.shape == (1, avatar.count, 4)
    np.testing.assert_allclose(np.linalg.norm(quats, axis=-1), 1, atol=1e-5)
    body = means[0][avatar.region_ids == 0]
    nearest = cKDTree(body).query(body, k=2)[0][:, 1]
    spacing = avatar.scales[avatar.region_ids == 0, 0].mean() / OVERLAP
    assert nearest.min() > 0.5 * spacing, "no clumps"
    corners = shot["vertices"][shot["faces"][shot["region_ids"][shot["faces"]].max(1) == 0]]
    anywhere = np.einsum("fc,fck->fk", np.random.default_rng(0).dirichlet([1, 1, 1], len(corners)), corners)
    assert cKDTree(body).query(anywhere)[0].max() < 1.3 * spacing, "no holes"


def test_a_finer_region_gets_smaller_gaussians(avatar):
    face, body = (avatar.scales[avatar.region_ids == r, 0].mean() for r in (1, 0))
    assert body / face == pytest.approx(2.0, rel=0.02)
    assert (avatar.scales[:, 2] < avatar.scales[:, 0]).all(), "flat along the normal"


def test_the_texture_reaches_the_gaussians(shot, avatar):
    cloth = avatar.albedo[avatar.region_ids == 3]
    red = srgb_to_linear(np.array(220 / 255))
    assert cloth[:, 0].max() == pytest.approx(red, abs=0.1) and cloth[:, 2].max() == pytest.approx(red, abs=0.1)
    assert (cloth[:, 1] == 0).all()
    np.testing.assert_allclose(
        avatar.albedo[avatar.region_ids == 0], [[0.6, 0.4, 0.3]] * (avatar.region_ids == 0).sum(), atol=1e-6
    )


def test_the_texture_is_the_right_way_up():
    arrays = make_arrays()
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[:4, :, 0] = 255  # the top rows of the picture are red
    picture[4:, :, 2] = 255
    picture[..., 3] = 255
    arrays["texture_0"] = picture
    arrays["face_uvs"][:] = [0.5, 0.9]  # v runs upwards
    avatar = avatar_from_shot(Shot.from_arrays(arrays), 500)
    np.testing.assert_allclose(avatar.albedo[avatar.region_ids == 3], [[1, 0, 0]] * (avatar.region_ids == 3).sum())


def _with_alpha(alpha: np.ndarray) -> dict[str, np.ndarray]:
    """The synthetic shot, its red garment of this opacity (h,w)."""
    arrays = make_arrays()
    picture = np.zeros((*alpha.shape, 4), np.uint8)
    picture[..., 0], picture[..., 3] = 255, np.round(alpha * 255)
    arrays["texture_0"] = picture
    return arrays


def test_holes_of_lace_stay_empty_and_the_rest_gets_their_gaussians():
    alpha = np.zeros((64, 64))
    alpha[:, 16:32] = 1  # a quarter of the cloth is there
    arrays = _with_alpha(alpha)
    shot = Shot.from_arrays(arrays)
    avatar = avatar_from_shot(shot, 4000)
    assert avatar.count == pytest.approx(4000, rel=0.04)
    chosen = avatar.region_ids == 3
    triangles, weights = avatar.binding.triangle_ids.numpy()[chosen], avatar.binding.barycentrics.numpy()[chosen]
    uvs = np.einsum("nc,nck->nk", weights, shot["face_uvs"][triangles])
    assert ((uvs[:, 0] % 1 > 0.24) & (uvs[:, 0] % 1 < 0.51)).all()
    np.testing.assert_allclose(avatar.albedo[chosen], [[1, 0, 0]] * chosen.sum(), atol=1e-6)  # no black from the holes
    spacing = avatar.scales[:, 0].mean() / OVERLAP
    closed = avatar_from_shot(Shot.from_arrays(_with_alpha(np.ones((64, 64)))), 4000)
    assert (avatar.region_ids == 3).sum() < 0.5 * (closed.region_ids == 3).sum()
    assert spacing < closed.scales[:, 0].mean() / OVERLAP


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.75])
def test_half_clear_cloth_lets_that_much_through(alpha):
    avatar = avatar_from_shot(Shot.from_arrays(_with_alpha(np.full((4, 4), alpha))), 4000)
    opacity = avatar.opacities[avatar.region_ids == 3]
    assert np.ptp(opacity) < 1e-6
    points = np.random.default_rng(0).random((2000, 2)) * 20  # one Gaussian a unit of area, as on the surface
    through = np.ones(len(points))
    for x in range(-4, 25):
        for y in range(-4, 25):
            squared = ((points - (x, y)) ** 2).sum(1)
            through *= 1 - opacity[0] * np.exp(-squared / (2 * OVERLAP**2))
    assert 1 - through.mean() == pytest.approx(alpha, abs=0.06)
    assert (avatar.opacities[avatar.region_ids == 0] > 0.9).all()


def test_a_character_that_cannot_be_seen_is_refused():
    clear = _with_alpha(np.zeros((4, 4)))
    clear["face_materials"][:] = 1
    with pytest.raises(Ani3DError) as caught:
        avatar_from_shot(Shot.from_arrays(clear), 500)
    assert caught.value.code == "avatar.no_surface"


def test_the_same_seed_gives_the_same_avatar(shot):
    first, second = (avatar_from_shot(shot, 300, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.binding.barycentrics.numpy(), second.binding.barycentrics.numpy())


def test_too_few_gaussians_are_refused(shot):
    with pytest.raises(Ani3DError, match="99"):
        avatar_from_shot(shot, 99)


def test_srgb_goes_there_and_back():
    values = np.linspace(0, 1, 101)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-7)
    assert srgb_to_linear(np.array(0.5)) == pytest.approx(0.21404, abs=1e-5)


def test_thin_cloth_is_lit_on_the_side_that_is_seen(shot, avatar):
    lighting = Lighting(np.array([[0, 1.0, 0]]), np.ones((1, 3)), np.zeros(3))
    vertices = shot["vertices"][None]
    front = shade(avatar, vertices, lighting, np.array([[0, -5.0, 1]]))[0]
    back = shade(avatar, vertices, lighting, np.array([[0, 5.0, 1]]))[0]
    means = avatar.pose(vertices)[0][0]
    lit_half = (avatar.region_ids == 3) & (means[:, 1] < -0.1)
    body = avatar.region_ids == 0
    assert front[lit_half].sum() > 2 * back[lit_half].sum(), "from behind one sees the unlit inside"
    np.testing.assert_array_equal(front[body], back[body])


def test_colours_that_were_asked_for_before_are_the_same_and_ones_own(shot, avatar):
    lighting, vertices = Lighting.of(shot), shot["vertices"][None]
    eyes = np.array([[0, -5.0, 1]])
    first = shade(avatar, vertices, lighting, eyes)
    kept = first.copy()
    first[:] = 0  # refinement writes into them
    np.testing.assert_array_equal(shade(avatar, vertices, lighting, eyes), kept)
    turned = vertices @ np.array([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], np.float32)
    brighter = replace(lighting, sun_colors=2 * lighting.sun_colors)
    for other in (shade(avatar, turned, lighting, eyes), shade(avatar, vertices, brighter, eyes)):
        assert np.abs(other - kept).max() > 0.05


def test_a_skirt_shades_the_legs(shot, avatar):
    """Under a sun overhead the body is darker than with the skirt moved aside, and nowhere brighter."""
    lighting = Lighting(np.array([[0, 0.6, -0.8]]), np.full((1, 3), np.pi), np.zeros(3))
    vertices, eyes = shot["vertices"][None], np.array([[0, -5.0, 1]])
    aside = vertices.copy()
    aside[:, shot["region_ids"] == 3, 0] += 3.0
    body = avatar.region_ids == 0
    under, free = (shade(avatar, layer, lighting, eyes)[0, body] for layer in (vertices, aside))
    assert under.mean() < 0.97 * free.mean()
    assert np.quantile(under - free, 0.95) < 0.02


def test_light_on_a_character_that_glides_does_not_shimmer(shot, avatar):
    """Shadows and hidden sky go with the character: it looks the same at each place."""
    lighting = Lighting(np.array([[0, 0.6, -0.8]]), np.full((1, 3), 1.5), np.full(3, 0.4))
    gliding = shot["vertices"] + np.arange(6)[:, None, None] * np.array([0.0037, 0.0012, 0.0021])
    colors = shade(avatar, gliding, lighting, np.tile([0, -50.0, 1], (6, 1)))
    assert np.abs(np.diff(colors, axis=0)).mean() < 0.005
    assert np.abs(np.diff(colors, 2, axis=0)).mean() < 0.005
