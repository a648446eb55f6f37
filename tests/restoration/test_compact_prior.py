"""The prior that ships: what it may and may not do to a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_clip import small_clip

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3dhuman.clip import CoarseClip
from ani3dhuman.cloth.limits import FREE_STRETCH, MAX_STRETCH, limit_offsets
from ani3dhuman.mesh.surface import CLEARANCE
from ani3dhuman.mesh.topology import edges_of
from ani3dhuman.rendering.draw import draw
from ani3dhuman.restoration import CompactPrior, RestoreConfig, load_compact_prior, restore
from ani3dhuman.restoration.compact.feature_maps import (
    CHANNELS,
    follow_cloth,
    levelled_axes,
    surface_maps,
)
from ani3dhuman.restoration.compact.lifting import lift_offsets, visibility
from ani3dhuman.restoration.compact.network import DisplacementNet
from ani3dhuman.restoration.compact.prior import PHYSICS_AMOUNT, WEIGHTS, amount_for, cloth_mask

QUICK = RestoreConfig(strength=0.7, schedule_steps=4)


@pytest.fixture(scope="module")
def clip() -> CoarseClip:
    return small_clip()


@pytest.fixture(scope="module")
def prior() -> CompactPrior:
    return load_compact_prior()


@pytest.fixture(scope="module")
def restless() -> CompactPrior:
    """A prior of random weights that moves cloth a lot: what must hold may not depend on good training."""
    torch.manual_seed(1)
    net = DisplacementNet(widths=(16, 16, 16), depths=(1, 1, 1))
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.15)
    return CompactPrior(net)


def test_the_shipped_weights_load_and_are_small(prior: CompactPrior) -> None:
    weights = WEIGHTS / "diffusion_pytorch_model.safetensors"
    assert weights.stat().st_size <= 20e6
    assert 1e6 < sum(p.numel() for p in prior.net.parameters()) < 5e6
    assert prior.window == 16
    assert prior.net.config["condition_channels"] == CHANNELS


def test_a_missing_prior_is_named(tmp_path: object) -> None:
    with pytest.raises(Ani3DError) as caught:
        load_compact_prior(tmp_path)  # type: ignore[arg-type]
    assert caught.value.code == "restoration.no_prior"


def test_a_prior_of_other_channels_is_refused(clip: CoarseClip) -> None:
    net = DisplacementNet(condition_channels=5, widths=(8, 8, 8), depths=(1, 1, 1))
    with pytest.raises(Ani3DError) as caught:
        CompactPrior(net).encode(clip)
    assert caught.value.code == "restoration.prior_version"


def test_encoding_says_where_the_cloth_is(prior: CompactPrior, clip: CoarseClip) -> None:
    encoded = prior.encode(clip)
    rows, columns = prior.net.config["grid"]
    assert encoded.latents.shape == (clip.frames, 3, rows, columns)
    assert encoded.preserve.shape == (clip.frames, 1, rows, columns)
    assert encoded.conditions.shape == (clip.frames, CHANNELS, rows, columns)
    assert torch.isfinite(encoded.conditions).all()
    assert not encoded.latents.any()
    share = 1 - float(encoded.preserve.mean())
    assert 0.2 < share < 0.9  # the window follows the skirt, which fills a good part of it
    cloth = cloth_mask(encoded.conditions) == 1
    assert (encoded.preserve[~cloth] == 1).all()
    pinned = 1 - (encoded.conditions[:, 3:4] / encoded.conditions[:, :2].sum(1, keepdim=True))[cloth]
    assert torch.allclose(encoded.preserve[cloth], pinned.clamp(0, 1), atol=1e-5), "and cloth as far as it is pinned"
    assert pinned.min() < 0.05 and pinned.max() > 0.9


def test_a_coarse_layer_that_moved_is_where_sampling_starts(prior: CompactPrior, clip: CoarseClip) -> None:
    swing = np.float32(0.06) * clip.freedom[:, None] * np.array([0, 0, 1], np.float32)
    encoded = prior.encode(replace(clip, vertices=clip.rigid_vertices + swing))
    still = prior.encode(clip)
    assert torch.equal(encoded.conditions, still.conditions), "conditions are the rigid layer's alone"
    assert encoded.key != still.key
    rigid = cloth_mask(encoded.conditions) == 1
    up = encoded.latents[:, 2:] * prior.net.config["offset_scale"]
    assert 0.04 < float(up[rigid].quantile(0.9)) < 0.061
    assert encoded.latents[:, :2].abs().max() < 1e-4
    assert not encoded.latents[(encoded.preserve == 1).expand_as(encoded.latents)].any()


def test_velocity_pins_what_is_not_cloth_to_zero(prior: CompactPrior, clip: CoarseClip) -> None:
    encoded = prior.encode(clip)
    noisy = torch.randn(16, *encoded.latents.shape[1:], generator=torch.Generator().manual_seed(0))
    velocity = prior.velocity(noisy, 0.7, encoded.conditions[:16])
    assert velocity.shape == noisy.shape
    clean = noisy - 0.7 * velocity
    outside = encoded.preserve[:16].expand_as(clean) == 1
    assert clean[outside].abs().max() < 1e-6
    assert clean[~outside].abs().max() > 1e-3


def test_a_seed_repeats_and_seeds_differ(prior: CompactPrior, clip: CoarseClip) -> None:
    one = restore(prior, clip, replace(QUICK, seed=1)).vertices
    again = restore(prior, clip, replace(QUICK, seed=1)).vertices
    other = restore(prior, clip, replace(QUICK, seed=2)).vertices
    assert one is not None and again is not None and other is not None
    assert np.array_equal(one, again)
    assert np.abs(one - other).max() > 1e-4


def test_face_and_skin_cannot_change(restless: CompactPrior, clip: CoarseClip) -> None:
    restored = restore(restless, clip, QUICK)
    assert restored.vertices is not None
    still = (clip.vertex_regions < 2) | (clip.pin_weights == 1)
    assert np.array_equal(restored.vertices[:, still], clip.vertices[:, still])
    assert np.abs(restored.vertices - clip.vertices).max() > 0.01
    before, after = clip.pose(clip.vertices), clip.pose(restored.vertices)
    assert np.array_equal(before.means[:, clip.avatar.region_ids < 2], after.means[:, clip.avatar.region_ids < 2])
    cloth = (clip.avatar.region_ids >= 2).astype(np.float32)[:, None]
    coarse, _ = clip.rendered(clip.vertices)
    for t in (0, 7, 19):
        touched = sum(draw(g, cloth, clip.cameras, t)[0][..., 0] for g in (before, after)) > 0
        assert 0.02 < touched.mean() < 0.6
        lit_anew = np.abs(restored.frames[t][~touched] - coarse[t][~touched])
        assert lit_anew.mean() < 1 / 255, "nothing but the light that cloth takes from the skin, or throws on it"
        assert not np.array_equal(restored.frames[t][touched], coarse[t][touched])


def test_nothing_applied_is_the_coarse_clip(restless: CompactPrior, clip: CoarseClip) -> None:
    restored = restore(CompactPrior(restless.net, amount=0.0), clip, QUICK)
    assert np.array_equal(restored.vertices, clip.vertices)
    pictures, alphas = clip.rendered(clip.vertices)
    assert np.array_equal(restored.frames, pictures)
    assert np.array_equal(restored.alphas, alphas)
    with pytest.raises(Ani3DError):
        CompactPrior(restless.net, amount=1.5)


def test_the_prior_says_less_where_physics_has_spoken(clip: CoarseClip) -> None:
    assert amount_for(clip) == pytest.approx(1.0)
    swung = clip.vertices + np.float32(0.05) * clip.freedom[:, None]
    assert amount_for(replace(clip, vertices=swung)) == pytest.approx(PHYSICS_AMOUNT, abs=0.01)
    slightly = clip.vertices + np.float32(0.005) * clip.freedom[:, None]
    assert PHYSICS_AMOUNT < amount_for(replace(clip, vertices=slightly)) < 1.0


def test_windows_of_the_prior_leave_no_seam(restless: CompactPrior) -> None:
    clip = small_clip(frames=40, gaussians=1500)
    vertices = restore(restless, clip, QUICK).vertices
    assert vertices is not None
    offsets = clip.avatar.pose(vertices)[0] - clip.avatar.pose(clip.vertices)[0]
    cloth = offsets[:, clip.avatar.region_ids == 3]
    jerk = np.linalg.norm(np.diff(cloth, n=2, axis=0), axis=2).mean(1)  # jerk[k] is about frame k + 1
    borders = [k for start in (8, 16, 24, 32) for k in (start - 2, start - 1)]
    inside = np.setdiff1d(np.arange(len(jerk)), borders)
    assert jerk[borders].mean() <= 1.15 * jerk[inside].mean()


def test_any_length_is_restored(prior: CompactPrior) -> None:
    for frames in (1, 3):
        clip = small_clip(frames=frames, gaussians=800)
        restored = restore(prior, clip, QUICK)
        assert restored.frames.shape == (frames, clip.cameras.height, clip.cameras.width, 3)
        assert np.isfinite(restored.frames).all()


def test_a_character_without_cloth_comes_back_as_it_was(prior: CompactPrior, clip: CoarseClip) -> None:
    bare = replace(clip, pin_weights=np.ones_like(clip.pin_weights))
    assert np.array_equal(restore(prior, bare, QUICK).vertices, bare.vertices)


@pytest.mark.parametrize("label", ["vertices", "Gaussians", "both"])
def test_where_nothing_is_loose_nothing_is_restored(prior: CompactPrior, clip: CoarseClip, label: str) -> None:
    """Labels of vertices and of Gaussians may differ: a part without area has vertices alone."""
    body = np.zeros_like(clip.vertex_regions)
    bare = clip if label == "Gaussians" else replace(clip, vertex_regions=body)
    if label != "vertices":
        bare = replace(bare, avatar=replace(clip.avatar, region_ids=np.zeros_like(clip.avatar.region_ids)))
    restored = restore(prior, bare, QUICK)
    assert restored.vertices is not None
    np.testing.assert_array_equal(restored.vertices, bare.vertices)
    assert np.isfinite(restored.frames).all() and np.std(restored.frames) > 0.05


def test_cloth_behind_the_camera_is_not_followed() -> None:
    """Half of the points stand before the camera, one metre wide; the others, behind it, change nothing."""
    view = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 3], [0, 0, 0, 1]], np.float32)
    K = np.array([[200, 0, 50], [0, 200, 60], [0, 0, 1]], np.float32)
    cameras = CameraPath(np.repeat(view[None], 4, 0), np.repeat(K[None], 4, 0), 100, 120)
    before = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 80, 3)).astype(np.float32)
    behind = before + np.float32([0.3, -9, 2])
    window = follow_cloth(cameras, np.concatenate([before, behind], 1))
    np.testing.assert_allclose(window.Ks, follow_cloth(cameras, before).Ks, rtol=1e-6)
    assert np.isfinite(follow_cloth(cameras, behind).Ks).all()


def test_maps_and_lifting_are_inverse_where_cloth_is_seen(clip: CoarseClip) -> None:
    """A smooth swing drawn as a map and lifted back moves the visible cloth as it was moved."""
    height = clip.bind_vertices[:, 2]
    swing = clip.freedom * np.clip(1.0 - height, 0, 1) * 0.15
    truth = clip.vertices + swing[None, :, None] * np.array([0.8, 0.3, 0.5], np.float32)
    maps = surface_maps(clip, layers=[truth])
    lifted = lift_offsets(clip, maps, maps.offsets[0])
    faces_camera = (clip.vertices[:, :, 1] < 0) & (np.linalg.norm(clip.vertices[:, :, :2], axis=2) > 0.1)
    seen = faces_camera & (swing > 0.03)
    error = np.linalg.norm(lifted - (truth - clip.vertices), axis=2)
    assert error[seen].mean() < 0.25 * np.linalg.norm(truth - clip.vertices, axis=2)[seen].mean()
    assert not lifted[:, clip.freedom == 0].any()


def test_a_restored_clip_says_what_its_camera_saw(prior: CompactPrior, clip: CoarseClip) -> None:
    restored = restore(prior, clip, QUICK)
    assert restored.visibility is not None and restored.visibility.shape == clip.vertices.shape[:2]
    free = clip.freedom > 0.5
    aside = np.linalg.norm(clip.vertices[:, :, :2], axis=2) > 0.1  # from the axis: front or back of the skirt
    front, back = (free & aside & (side * clip.vertices[:, :, 1] < -0.1) for side in (1, -1))
    assert front.any() and back.any()
    assert np.median(restored.visibility[front]) > 0.9 and np.median(restored.visibility[back]) < 0.1
    assert not restored.visibility[:, clip.freedom == 0].any()
    assert np.array_equal(restored.visibility, visibility(clip, surface_maps(clip)))


def test_the_window_holds_all_cloth_in_every_frame(clip: CoarseClip) -> None:
    points = clip.vertices[:, clip.vertex_regions == 3]
    window = follow_cloth(clip.cameras, points)
    for t in range(clip.frames):
        pixels, _ = window.project(points[t], t)
        assert (pixels >= 0).all() and (pixels <= [window.width, window.height]).all()


def test_levelled_axes_keep_gravity_down_even_looking_straight_down() -> None:
    down = np.diag([1.0, -1.0, -1.0, 1.0]).astype(np.float32)  # camera above, looking along -z
    rolled = np.array([[0, 0, -1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float32)
    axes = levelled_axes(np.stack([down, rolled]))
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-6)
    np.testing.assert_allclose(axes[:, 2], [[0, 0, 1]] * 2)
    np.testing.assert_allclose(np.linalg.det(axes), 1, atol=1e-6)


def test_limits_keep_the_fabric_whole_and_outside(clip: CoarseClip) -> None:
    rng = np.random.default_rng(0)
    wild = (rng.normal(0, 0.05, clip.vertices.shape) * clip.freedom[:, None]).astype(np.float32)
    centre = clip.vertices[:, clip.vertex_regions == 0].mean(1, keepdims=True)
    inward = (centre - clip.vertices) * [1, 1, 0] * clip.freedom[:, None] * 0.45
    edges = edges_of(clip.avatar.binding.faces.numpy())
    edges = edges[(clip.freedom[edges] > 0).any(1)]
    rest = np.linalg.norm(clip.bind_vertices[edges[:, 0]] - clip.bind_vertices[edges[:, 1]], axis=1)

    def stretch(offsets: np.ndarray, share: float) -> float:
        x = clip.vertices + offsets
        return float(np.percentile(np.linalg.norm(x[:, edges[:, 0]] - x[:, edges[:, 1]], axis=2) / rest, share))

    limited = limit_offsets(clip, wild)
    assert stretch(wild, 99) > 1.5
    assert stretch(limited, 99) < FREE_STRETCH + 0.1
    assert not limited[:, clip.freedom == 0].any()

    def clearance(offsets: np.ndarray) -> float:
        x = clip.vertices + offsets - centre
        return float(np.linalg.norm(x[:, clip.freedom > 0.9, :2], axis=2).min()) - 0.13

    assert clearance(inward) < 0
    assert clearance(limit_offsets(clip, inward.astype(np.float32))) > 0.5 * CLEARANCE


def test_a_body_that_pushes_one_end_of_an_edge_does_not_tear_it(clip: CoarseClip) -> None:
    """A belly stands 6 cm through the front of the skirt: what hangs beside it stays where it is."""
    edges = edges_of(clip.avatar.binding.faces.numpy())
    edges = edges[(clip.freedom[edges] > 0.5).all(1)]
    bind, body = clip.bind_vertices, clip.vertex_regions == 0
    belly = body & (np.abs(np.arctan2(bind[:, 1], bind[:, 0])) < 0.7) & (np.abs(bind[:, 2] - 0.68) < 0.13)
    skirt = 0.15 + 0.19 / 0.55 * (1.0 - bind[:, 2])
    wider = np.where(belly, (skirt + 0.06) / np.linalg.norm(bind[:, :2], axis=1), 1)
    x = clip.vertices.copy()
    middle = x[:, body, :2].mean(1, keepdims=True)
    x[..., :2] = np.where(body[:, None], middle + wider[:, None] * (x[..., :2] - middle), x[..., :2])
    moved = x + limit_offsets(replace(clip, vertices=x, rigid_vertices=x), np.full_like(x, 0.001))
    rest, now = (np.linalg.norm(v[..., edges[:, 0], :] - v[..., edges[:, 1], :], axis=-1) for v in (bind, moved))
    assert np.abs(moved - x).max() > 0.03, "the belly pushes the skirt out"
    assert (now / rest).max() < MAX_STRETCH + 0.05


def test_limits_leave_an_own_coarse_layer_as_stretched_as_it_is(clip: CoarseClip) -> None:
    middle = clip.rigid_vertices.mean(1, keepdims=True)
    wide = clip.rigid_vertices + 0.4 * clip.freedom[:, None] * (clip.rigid_vertices - middle) * np.float32([1, 1, 0])
    nudge = np.full_like(wide, 0.01) * clip.freedom[:, None]
    moved = limit_offsets(replace(clip, vertices=wide), nudge)
    assert np.linalg.norm(moved - nudge, axis=2).max() < 0.02, "shape keys and elastic cloth may stretch"
    skinned = limit_offsets(replace(clip, vertices=wide, rigid_vertices=wide), nudge)
    assert np.linalg.norm(skinned - nudge, axis=2).max() > 0.03, "what skinning stretched is brought back"


def test_a_sound_base_forgets_cloth_that_exploded(clip: CoarseClip) -> None:
    spikes = np.float32(0.5) * clip.freedom[:, None] * np.random.default_rng(0).normal(size=clip.vertices.shape)
    faulty = replace(clip, vertices=(clip.rigid_vertices + spikes).astype(np.float32))

    def distance(given: CoarseClip) -> float:
        vertices = restore(load_compact_prior(), given, QUICK).vertices
        assert vertices is not None
        return float(np.linalg.norm(vertices - clip.rigid_vertices, axis=2)[:, clip.freedom > 0.9].mean())

    assert distance(faulty) > 0.3
    assert distance(replace(faulty, base=clip.rigid_vertices)) < 0.12
