"""Dual quaternion skinning against its definition; that it is Blender's, tests/blender shows."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from synthetic import COLUMNS, make_arrays, make_shot, translation

from ani3d_formats.dual_quaternions import blended_transforms, nearest_quats
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import blended_rotations, skin
from ani3dhuman.pipeline.coarse import coarse_layers
from ani3dhuman.pipeline.job import Job
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.rigid import pose_rigid


def as_matrix(quats: np.ndarray) -> np.ndarray:
    return Rotation.from_quat(quats[..., [1, 2, 3, 0]]).as_matrix()


def motions(count: int, seed: int, angle: float = np.pi) -> np.ndarray:
    """(count,4,4) random rigid motions that turn by up to `angle`."""
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(count, 3))
    turns = axes / np.linalg.norm(axes, axis=1, keepdims=True) * rng.uniform(0, angle, (count, 1))
    result = np.tile(np.eye(4), (count, 1, 1))
    result[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    result[:, :3, 3] = rng.normal(size=(count, 3))
    return result


def influences(vertices: int, bones: int, per_vertex: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    indices = np.stack([rng.choice(bones, per_vertex, replace=False) for _ in range(vertices)]).astype(np.int32)
    return indices, rng.dirichlet(np.ones(per_vertex), vertices)


def apply(blended: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.einsum("vij,vj->vi", blended[:, :, :3], points) + blended[:, :, 3]


def test_quaternions_are_those_of_the_nearest_rotations():
    turns = np.concatenate([Rotation.random(50, random_state=0).as_matrix(), -np.eye(3) + 2 * np.diag([1, 0, 0])[None]])
    np.testing.assert_allclose(as_matrix(nearest_quats(3.7 * turns)), turns, atol=1e-9)
    bent = turns + 0.1 * np.random.default_rng(1).normal(size=turns.shape)
    U, _, Vt = np.linalg.svd(bent)
    np.testing.assert_allclose(as_matrix(nearest_quats(bent)), U @ Vt, atol=1e-9)


def test_one_bone_is_followed_exactly():
    transforms = motions(5, seed=2)
    transforms[3, :3, :3] *= 1.4
    indices = np.arange(5, dtype=np.int32)[:, None]
    np.testing.assert_allclose(blended_transforms(indices, np.ones((5, 1)), transforms), transforms[:, :3], atol=1e-6)


def test_it_is_the_normalised_sum_of_dual_quaternions():
    """Straight from the paper: real and dual parts as quaternions, one vertex at a time."""
    transforms = motions(6, seed=3, angle=1.4)
    indices, weights = influences(40, 6, 4, seed=4)
    blended = blended_transforms(indices, weights, transforms)
    for v in range(40):
        real, dual = np.zeros(4), np.zeros(4)
        for bone, weight in zip(indices[v], weights[v], strict=True):
            x, y, z, w = Rotation.from_matrix(transforms[bone, :3, :3]).as_quat()
            t = transforms[bone, :3, 3]
            vector = np.array([x, y, z])
            half = 0.5 * np.r_[-t @ vector, w * t + np.cross(t, vector)]
            sign = -1 if real @ np.r_[w, vector] < 0 else 1
            real, dual = real + sign * weight * np.r_[w, vector], dual + sign * weight * half
        real, dual = real / np.linalg.norm(real), dual / np.linalg.norm(real)
        shift = 2 * (real[0] * dual[1:] - dual[0] * real[1:] + np.cross(real[1:], dual[1:]))
        np.testing.assert_allclose(blended[v, :, :3], as_matrix(real), atol=1e-6)
        np.testing.assert_allclose(blended[v, :, 3], shift, atol=1e-6)


def test_rigid_bones_blend_to_rotations_and_the_world_does_not_matter():
    transforms = motions(6, seed=5)
    indices, weights = influences(80, 6, 3, seed=6)
    points = np.random.default_rng(7).normal(size=(80, 3))
    blended = blended_transforms(indices, weights, transforms)
    R = blended[:, :, :3]
    np.testing.assert_allclose(R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-5)
    transforms[2:4, :3, :3] *= 1.3
    before = apply(blended_transforms(indices, weights, transforms), points)
    A, B = motions(2, seed=8)
    A[:3, :3] *= 2.0
    elsewhere = points @ B[:3, :3].T + B[:3, 3]
    after = apply(blended_transforms(indices, weights, A @ transforms @ np.linalg.inv(B)), elsewhere)
    np.testing.assert_allclose(after, before @ A[:3, :3].T + A[:3, 3], atol=2e-5)


def twisted_arm(angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A cylinder along x of radius 5 cm whose far bone turns about it: vertices, weights, transforms (1,2,4,4)."""
    around, along = np.meshgrid(np.linspace(0, 2 * np.pi, 24, endpoint=False), np.linspace(0, 0.6, 31))
    vertices = np.stack([along, 0.05 * np.cos(around), 0.05 * np.sin(around)], -1).reshape(-1, 3)
    far = np.clip((vertices[:, 0] - 0.15) / 0.3, 0, 1)
    transforms = np.tile(np.eye(4), (1, 2, 1, 1))
    transforms[0, 1, :3, :3] = Rotation.from_rotvec([angle, 0, 0]).as_matrix()
    return vertices, np.tile(np.arange(2), (len(far), 1)), np.stack([1 - far, far], 1), transforms


def test_a_twisted_arm_keeps_its_girth():
    vertices, indices, weights, transforms = twisted_arm(np.radians(160))
    linear = skin(vertices, indices, weights, transforms)[0]
    kept = skin(vertices, indices, weights, transforms, np.ones(len(vertices), bool))[0]
    np.testing.assert_allclose(np.linalg.norm(kept[:, 1:], axis=1), 0.05, atol=1e-6)
    assert np.linalg.norm(linear[:, 1:], axis=1).min() < 0.015, "linear blending wrings it like a sweet's paper"


def test_a_bone_that_grows_is_followed_in_between():
    vertices, indices, weights, transforms = twisted_arm(np.radians(90))
    transforms[0, 1, :3, :3] *= 2.0
    grown = skin(vertices, indices, weights, transforms, np.ones(len(vertices), bool))[0]
    girth = np.linalg.norm(grown[:, 1:], axis=1)
    assert girth[vertices[:, 0] < 0.14] == pytest.approx(0.05, abs=1e-6)
    assert girth[vertices[:, 0] > 0.46] == pytest.approx(0.10, abs=1e-6)
    assert (np.diff(girth.reshape(31, 24), axis=0) > -1e-6).all()


def wrung_shot(*keeping: str) -> Shot:
    """The small character with its head turned by 150 degrees; objects named preserve their volume."""
    arrays = make_arrays(3)
    spin = np.eye(4, dtype=np.float32)
    spin[:3, :3] = Rotation.from_rotvec([0, 0, np.radians(150)]).as_matrix()
    arrays["bone_pose"] = np.tile(arrays["bone_rest"], (3, 1, 1, 1)) @ np.stack(
        [np.eye(4, dtype=np.float32)] * 2 + [spin]
    )
    arrays["bone_pose"][2, :] = translation(0.1, 0, 0) @ arrays["bone_pose"][2]
    meta = json.loads(str(arrays["meta"]))
    for entry in meta["objects"]:
        if entry["name"] in keeping:
            entry["preserve_volume"] = True
    return Shot.from_arrays({**arrays, "meta": np.array(json.dumps(meta))})


def rigid_layer(shot: Shot) -> np.ndarray:
    return pose_rigid(shot, Progress("rigid", shot.frames))


def test_the_rigid_layer_follows_each_objects_own_modifier():
    plain, mixed, whole = wrung_shot(), wrung_shot("Hair"), wrung_shot("Body", "Skirt", "Hair")
    hair = np.arange(len(plain["vertices"])) >= len(plain["vertices"]) - 5 * COLUMNS
    np.testing.assert_array_equal(mixed.preserve_volume, hair)
    assert not plain.preserve_volume.any() and whole.preserve_volume.all()
    np.testing.assert_array_equal(rigid_layer(mixed)[:, ~hair], rigid_layer(plain)[:, ~hair])
    np.testing.assert_array_equal(rigid_layer(mixed)[:, hair], rigid_layer(whole)[:, hair])
    radius = np.linalg.norm(rigid_layer(whole)[2, :, :2] - [0.1, 0], axis=1)
    np.testing.assert_allclose(radius, np.linalg.norm(plain["vertices"][:, :2], axis=1), atol=1e-5)
    assert np.abs(rigid_layer(mixed) - rigid_layer(plain)).max() > 0.02


def test_the_bone_local_frames_are_those_of_the_same_blend():
    shot = wrung_shot("Body", "Skirt", "Hair")
    transforms = shot.skinning_transforms()
    own = blended_rotations(shot["weight_indices"], shot["weight_values"], transforms, shot.preserve_volume)
    for t in range(shot.frames):
        expected = blended_transforms(shot["weight_indices"], shot["weight_values"], transforms[t])[:, :, :3]
        np.testing.assert_allclose(own[t], expected, atol=1e-5)
    turned = Rotation.from_matrix(own[2]).magnitude()
    assert turned.max() == pytest.approx(np.radians(150), abs=1e-4)


def test_another_blend_is_another_rigid_layer_in_the_store(tmp_path):
    settings = Settings.from_dict({"preset": "draft", "gaussians": 300, "coarse": "rigid"})

    def run(shot: Shot) -> tuple[np.ndarray, list[str]]:
        job = Job(shot, settings, tmp_path, None, lambda: False)
        return np.array(coarse_layers(job).clip.rigid_vertices), job.store.reused

    linear, _ = run(wrung_shot())
    kept, reused = run(wrung_shot("Body"))
    assert "rigid" not in reused and np.abs(kept - linear).max() > 0.02
    again, reused = run(wrung_shot("Body"))
    assert {"rigid", "avatar", "cloth"} <= set(reused)
    np.testing.assert_array_equal(again, kept)


def test_a_shot_says_nothing_of_it_unless_asked(tmp_path):
    shot = make_shot()
    assert not shot.preserve_volume.any()
    marked = wrung_shot("Skirt")
    marked.save(tmp_path / "shot.npz")
    np.testing.assert_array_equal(Shot.load(tmp_path / "shot.npz").preserve_volume, marked.preserve_volume)
    assert replace(marked, meta=shot.meta).preserve_volume.sum() == 0
