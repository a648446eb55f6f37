"""A person of Gaussians on a skeleton alone: a mesh around them, weights by sight and distance, what is in doubt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from synthetic import make_shot, translation

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3d_formats.regions import BODY, HAIR
from ani3d_formats.shot import Shot
from ani3dhuman.avatar.file import AvatarFile
from ani3dhuman.avatar.skeleton_proxy import Proxy, Skeleton, proxy_of
from ani3dhuman.cli import main
from ani3dhuman.mesh.signed_distance import signed_distances
from ani3dhuman.mesh.surface_nets import surface_net
from ani3dhuman.pipeline.import_avatar import Box, import_avatar
from ani3dhuman.pipeline.skeleton_person import shot_around
from ani3dhuman.rigid import pose_rigid
from ani3dhuman.splats.formats import write_splats
from ani3dhuman.splats.splats import Splats

ARM = np.array([0.35, 0, 0])


def shell(seed: int = 0, count: int = 6000) -> tuple[Splats, np.ndarray]:
    """Gaussians on a trunk of radius .14 from z 0 to 1.6 and on an arm that hangs beside it; which are the arm's."""
    rng = np.random.default_rng(seed)
    is_arm = rng.random(count) < 0.3
    radius = np.where(is_arm, 0.06, 0.14)
    height = np.where(is_arm, rng.uniform(0.6, 1.4, count), rng.uniform(0, 1.6, count))
    angle, cap = rng.uniform(0, 2 * np.pi, count), rng.random(count) < 0.1
    low, high = np.where(is_arm, 0.6, 0.0), np.where(is_arm, 1.4, 1.6)
    height = np.where(cap, np.where(rng.random(count) < 0.5, low, high), height)
    reach = np.where(cap, radius * np.sqrt(rng.random(count)), radius)
    means = np.stack([reach * np.cos(angle), reach * np.sin(angle), height], 1) + is_arm[:, None] * ARM
    turns = np.tile(np.float32([1, 0, 0, 0]), (count, 1))
    sh = np.zeros((count, 1, 3), np.float32)
    scales = np.full((count, 3), 0.01, np.float32)
    return Splats(means.astype(np.float32), turns, scales, np.full(count, 0.9, np.float32), sh), is_arm


def skeleton() -> Skeleton:
    """A spine of two bones, and an arm of one that hangs on the upper."""
    heads = np.array([[0, 0, 0.05], [0, 0, 0.8], [0.35, 0, 1.38]])
    tails = np.array([[0, 0, 0.8], [0, 0, 1.55], [0.35, 0, 0.62]])
    return Skeleton(heads, tails, np.array([-1, 0, 0]))


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    return proxy_of(shell()[0], skeleton())


def test_surface_nets_close_around_a_ball():
    grid = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1) - 11.5
    vertices, faces = surface_net(8 - np.linalg.norm(grid, axis=3), 0.0)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.03)
    assert np.abs(np.linalg.norm(vertices - 11.5, axis=1) - 8).max() < 0.1


def test_the_mesh_lies_around_them_and_looks_outwards(proxy):
    mesh = trimesh.Trimesh(proxy.vertices, proxy.faces, process=False)
    filled = np.pi * (0.14**2 * 1.6 + 0.06**2 * 0.8)
    assert mesh.volume == pytest.approx(filled, rel=0.45) and mesh.volume > filled
    far = signed_distances(shell()[0].means[None, ::20], proxy.vertices[None], proxy.faces)[0]
    assert -0.025 < np.median(far) < 0 and far.max() < 0.01 and far.min() > -0.05  # they lie just within it


def test_an_arm_beside_the_trunk_is_the_arms(proxy):
    """The spine's bone is nearer to much of the arm's inner side than half the way, yet it is not seen from there."""
    on_arm = proxy.vertices[:, 0] > 0.22
    np.testing.assert_allclose(proxy.weights.sum(1), 1, atol=1e-9)
    assert (proxy.weights >= 0).all() and proxy.weights[on_arm, 2].min() > 0.95
    assert proxy.weights[~on_arm, 2].max() < 0.05 and not proxy.unseen.any()


def test_weights_go_over_smoothly_from_bone_to_bone(proxy):
    trunk = proxy.vertices[:, 0] < 0.2
    height, upper = proxy.vertices[trunk, 2], proxy.weights[trunk, 1]
    assert upper[height < 0.5].max() < 0.1 and upper[height > 1.1].min() > 0.9
    steps = [upper[(height > z) & (height <= z + 0.05)].mean() for z in np.arange(0.5, 1.1, 0.05)]
    assert np.all(np.diff(steps) > -0.01) and max(np.diff(steps)) < 0.4


def rig(frames: int = 5) -> Shot:
    """The synthetic shot with the bones of `skeleton`; the upper one bends, the arm lifts."""
    shot, bones = make_shot(frames), skeleton()
    rest = np.stack([translation(*head) for head in bones.heads])
    along = np.float32([[1, 0, 0], [0, 0, 1], [0, -1, 0]]).T  # columns; Y of a bone goes along it
    rest[:2, :3, :3] = along
    rest[2, :3, :3] = along @ np.diag(np.float32([1, -1, -1]))
    pose = np.stack([rest] * frames)
    for t in range(frames):
        for row, way in ((1, "x"), (2, "y")):
            pose[t, row, :3, :3] = Rotation.from_euler(way, -0.15 * t).as_matrix() @ rest[row, :3, :3]
    lengths = np.linalg.norm(bones.tails - bones.heads, axis=1)
    new = {"bone_rest": rest, "bone_pose": pose, "bone_lengths": lengths, "bone_parents": bones.parents}
    arrays = {**shot.to_arrays(), **{name: np.asarray(array) for name, array in new.items()}}
    return Shot.from_arrays(arrays)


def true_places(splats: Splats, is_arm: np.ndarray, shot: Shot) -> np.ndarray:
    """(T,N,3) where rigid limbs would be, bent at the middle of the trunk at once."""
    bone = np.where(is_arm, 2, np.where(splats.means[:, 2] > 0.8, 1, 0))
    moved = shot.skinning_transforms()[:, bone]
    return np.einsum("tnij,nj->tni", moved[..., :3, :3], splats.means.astype(float)) + moved[..., :3, 3]


@pytest.mark.parametrize("frame", [None, 4])
def test_they_move_with_the_bones_from_rest_or_from_a_pose(tmp_path: Path, frame):
    (splats, is_arm), shot = shell(), rig()
    true = true_places(splats, is_arm, shot)
    if frame is not None:
        splats = replace(splats, means=true[frame - 1].astype(np.float32))
    guess = shot_around(splats, shot, "she", frame)
    assert [item.name for item in guess.shot.meta.objects] == ["she"] and guess.shot.frames == shot.frames
    bound, _ = import_avatar(splats, guess.shot, tmp_path / "she.avatar", "she", frame)
    means, _ = bound.avatar.pose(pose_rigid(guess.shot, Progress("pose", 5)))
    away = np.linalg.norm(means - true[:, bound.kept], axis=2)
    assert np.median(away) < 0.006 and np.linalg.norm(true[4] - true[0], axis=1).max() > 0.3
    assert np.percentile(away[:, is_arm[bound.kept]], 95) < 0.02


def test_boxes_label_mesh_and_gaussians_and_the_command_says_what_is_in_doubt(tmp_path: Path, capsys):
    (splats, _), shot = shell(), rig()
    shot.save(tmp_path / "rig.npz")
    write_splats(tmp_path / "she.ply", splats)
    words = ["import", tmp_path / "she.ply", "--shot", tmp_path / "rig.npz", "--skeleton"]
    words += ["--box=hair=-0.3,-0.3,1.2:0.3,0.3,2", "-o", tmp_path / "she.avatar"]
    assert main([str(word) for word in words]) == 0
    said = capsys.readouterr()
    assert "guess" in said.out and "about as near to another limb" in said.out
    assert "mesh" in said.err and "bind" in said.err and "100%" in said.err  # bars of both
    made = Shot.load(tmp_path / "she.npz")
    high = (made["vertices"][:, 2] > 1.2) & (np.abs(made["vertices"][:, 0]) < 0.3)
    assert np.array_equal(made["region_ids"], np.where(high, HAIR, BODY))
    assert set(AvatarFile.load(tmp_path / "she.avatar").avatar.region_ids) == {BODY, HAIR}
    assert main([str(word) for word in [*words[:-1], tmp_path / "rig.avatar"]]) != 0
    assert "would replace" in capsys.readouterr().err and not (tmp_path / "rig.avatar").exists()
    (tmp_path / "taken.npz").mkdir()
    assert main([str(word) for word in [*words[:-1], tmp_path / "taken.avatar"]]) != 0
    assert "Is a directory" in capsys.readouterr().err and not (tmp_path / "taken.avatar").exists()


def test_a_person_elsewhere_or_a_scene_without_bones_is_refused():
    (splats, _), shot = shell(), rig()
    away = Splats(splats.means + np.float32([5, 0, 0]), splats.quats, splats.scales, splats.opacities, splats.sh)
    with pytest.raises(Ani3DError, match="--axes") as refused:
        shot_around(away, shot, "she")
    assert refused.value.code == "avatar.far"
    for some, code in ((splats.chosen(np.arange(50)), "avatar.too_few"), (splats.chosen(np.arange(0)), "avatar.empty")):
        with pytest.raises(Ani3DError) as refused:
            shot_around(some, shot, "she")
        assert refused.value.code == code
    meta = replace(shot.meta, bones=("object:a", "object:b", "object:c"))
    with pytest.raises(Ani3DError, match="has no bones"):
        shot_around(splats, replace(shot, meta=meta), "she")
    with pytest.raises(Ani3DError, match="no frame 99"):
        shot_around(splats, shot, "she", 99)
    with pytest.raises(Ani3DError, match="lower corner first"):
        Box("hair", (0, 0, 0), (0, 1, 1))
