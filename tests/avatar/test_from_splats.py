"""Gaussians of others on a character's mesh: places, labels, motion; what belongs to nothing is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from small_clip import small_clip
from synthetic import make_shot

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3d_formats.gaussians import SH_C0
from ani3d_formats.progress import Progress
from ani3d_formats.regions import BODY, GARMENT, HAIR
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import Avatar, avatar_from_shot
from ani3dhuman.avatar.file import AvatarFile
from ani3dhuman.avatar.from_splats import bind_splats, nearest_on_triangles
from ani3dhuman.avatar.posing import PosedAvatar
from ani3dhuman.avatar.shading import as_captured
from ani3dhuman.cli import main
from ani3dhuman.clip import CoarseClip
from ani3dhuman.mesh.signed_distance import signed_distances
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.film import Delivery, render_shot
from ani3dhuman.pipeline.import_avatar import Box, import_avatar
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.rendering import rasterize
from ani3dhuman.rendering.draw import draw
from ani3dhuman.rendering.exposure import Exposure
from ani3dhuman.rigid import pose_rigid
from ani3dhuman.splats.formats import read_splats, write_splats
from ani3dhuman.splats.harmonics import matrices, rotated, seen
from ani3dhuman.splats.splats import COEFFICIENTS, Splats


@pytest.fixture(scope="module")
def clip() -> CoarseClip:
    return small_clip(8)


def as_splats(avatar: Avatar, vertices: np.ndarray) -> Splats:
    """An avatar's Gaussians on a mesh (V,3), as a trainer would have them: no binding, no labels."""
    means, quats = avatar.pose(vertices[None])
    dc = (linear_to_srgb(avatar.albedo) - 0.5) / SH_C0
    return Splats(means[0], quats[0], avatar.scales, avatar.opacities, dc[:, None].astype(np.float32))


def joined(splats: Splats, means: np.ndarray) -> Splats:
    """`splats` and small balls at further places (M,3)."""
    more = len(means)
    ball = Splats(
        means.astype(np.float32),
        np.tile(np.float32([1, 0, 0, 0]), (more, 1)),
        np.full((more, 3), 0.01, np.float32),
        np.full(more, 0.9, np.float32),
        np.zeros((more, 1, 3), np.float32),
    )
    return Splats.joined([splats, ball])


def parts_of(clip: CoarseClip) -> np.ndarray:
    """Parts of the pillar by height, 20 cm each."""
    return (clip.bind_vertices[:, 2] / 0.2).astype(int)


def bound(clip: CoarseClip, splats: Splats, vertices: np.ndarray | None = None):
    mesh = clip.bind_vertices if vertices is None else vertices
    faces = clip.avatar.binding.faces.numpy()
    return bind_splats(splats, mesh, faces, clip.vertex_regions, parts_of(clip))


@pytest.mark.parametrize("frame", [None, 5])
def test_they_move_with_the_mesh_as_their_own_avatar_does(clip, frame):
    stands_in = clip.bind_vertices if frame is None else clip.vertices[frame]
    found = bound(clip, as_splats(clip.avatar, stands_in), stands_in)
    assert found.kept.all()
    posed, owned = found.avatar.pose(clip.vertices), clip.avatar.pose(clip.vertices)
    for means, quats, own, turns in zip(*posed, *owned, strict=True):
        assert np.median(np.linalg.norm(means - own, axis=1)) < 1e-5
        assert np.percentile(np.linalg.norm(means - own, axis=1), 99) < 0.002
        assert np.percentile(np.abs((quats * turns).sum(1)), 1) > 0.999
    assert (found.avatar.region_ids == clip.avatar.region_ids).mean() > 0.97


def test_gaussians_off_the_surface_keep_their_distance(clip):
    splats = as_splats(clip.avatar, clip.bind_vertices)
    outward = splats.means * [1, 1, 0] / np.linalg.norm(splats.means[:, :2], axis=1, keepdims=True)
    away = replace(splats, means=(splats.means + 0.02 * outward).astype(np.float32))
    found = bound(clip, away)
    means, _ = found.avatar.pose(np.stack([clip.bind_vertices, clip.vertices[4]]))
    np.testing.assert_allclose(means[0], away.means[found.kept], atol=1e-5)
    own, _ = clip.avatar.pose(clip.vertices[4:5])
    apart = np.linalg.norm(means[1] - own[0][found.kept], axis=1)
    assert 0.018 < np.median(apart) < 0.022


def test_what_floats_is_faint_or_too_far_is_left_out(clip):
    splats = as_splats(clip.avatar, clip.bind_vertices)
    faint = replace(splats, opacities=np.where(np.arange(splats.count) < 7, 0.001, splats.opacities).astype(np.float32))
    found = bound(clip, joined(faint, np.array([[0.25, 0, 1.5], [2, 2, 1], [2.01, 2, 1]])))
    assert not found.kept[-3:].any() and not found.kept[:7].any() and found.kept[7:-3].all()
    assert (found.notes["floating"], found.notes["too far"], found.notes["faint"]) == (1, 2, 7)


def test_the_flat_side_decides_between_two_surfaces(clip):
    """Two plates, 4 mm apart and at a right angle, share an edge: a disk goes to the one that it lies along."""
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 1, 5], [0, 5, 4]])
    places = np.float32([[0.5, 0.004, 0.004], [0.52, 0.004, 0.004]])
    quats = np.float32([[1, 0, 0, 0], [np.sqrt(0.5), np.sqrt(0.5), 0, 0]])  # normal along z, then along -y
    scales = np.tile(np.float32([0.01, 0.01, 0.001]), (2, 1))
    splats = Splats(places, quats, scales, np.ones(2, np.float32), np.zeros((2, 1, 3), np.float32))
    triangles = bind_splats(splats, vertices, faces, np.zeros(6, int), np.zeros(6, int)).avatar.binding.triangle_ids
    assert triangles[0] < 2 <= triangles[1]


def test_nearest_points_against_many_samples():
    rng = np.random.default_rng(0)
    corners, points = rng.normal(size=(40, 3, 3)), rng.normal(size=(40, 3))
    shares = rng.dirichlet([0.4, 0.4, 0.4], 20_000)
    sampled = np.linalg.norm(np.einsum("sk,nkd->nsd", shares, corners) - points[:, None], axis=2).min(1)
    found = np.linalg.norm(nearest_on_triangles(points, corners) - points, axis=1)
    assert (found <= sampled + 1e-9).all() and (sampled - found).max() < 0.05


def test_a_mesh_elsewhere_is_refused(clip):
    splats = as_splats(clip.avatar, clip.bind_vertices)
    with pytest.raises(Ani3DError, match=r"--axes.*--frame") as refused:
        bound(clip, splats.turned(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])))
    assert refused.value.code == "avatar.far"
    with pytest.raises(Ani3DError, match="holds no Gaussians"):
        bound(clip, splats.chosen(np.arange(0)))


def test_boxes_give_labels_and_a_table_says_what_is_uncertain(tmp_path: Path):
    shot = make_shot(2)
    splats = as_splats(avatar_from_shot(shot, 600), shot["vertices"])
    boxes = [Box("hair", (-9, -9, -9), (9, 9, 9)), Box("garment", (-9, -9, -9), (9, 9, 0.8))]
    found, picture = import_avatar(splats, shot, tmp_path / "a.avatar", "a", boxes=boxes)
    low = splats.means[found.kept][:, 2] <= 0.8
    assert 0 < low.mean() < 1 and found.notes["labelled by boxes"] == found.avatar.count
    assert (found.avatar.region_ids == np.where(low, GARMENT, HAIR)).all()
    rows = json.loads(picture.with_suffix(".json").read_text())["parts"]
    assert sum(row["gaussians"] for row in rows) == found.avatar.count
    assert {row["part"] for row in rows} <= set(shot.meta.bones)
    assert sum(row["gaussians"] * row["uncertain"] for row in rows) == pytest.approx(found.uncertain.sum(), abs=0.1)
    with pytest.raises(Ani3DError, match="lower corner first"):
        Box("garment", (0, 0, 0), (0, 1, 1))


def with_views(splats: Splats, degree: int = 3) -> Splats:
    """The same Gaussians with colours that depend on the view, never too dark to be seen."""
    rest = np.random.default_rng(5).normal(0, 0.03, (splats.count, COEFFICIENTS[degree] - 1, 3))
    return replace(splats, sh=np.concatenate([splats.sh * np.float32(0.5), rest.astype(np.float32)], axis=1))


def test_colour_by_view_turns_with_the_mesh(clip):
    """A character that turns by a fifth of a circle looks from an eye that goes round with it as it did before."""
    splats = with_views(as_splats(clip.avatar, clip.bind_vertices))
    found = bound(clip, splats).avatar
    R, eye = Rotation.from_euler("zx", (72, 20), degrees=True).as_matrix(), np.array([0.4, -3.0, 1.2])
    before = as_captured(found, clip.bind_vertices, eye)
    towards = splats.means - eye
    truth = seen(splats.sh, towards / np.linalg.norm(towards, axis=1, keepdims=True))
    np.testing.assert_allclose(before, truth, atol=2e-4)
    after = as_captured(found, (clip.bind_vertices @ R.T).astype(np.float32), R @ eye)
    np.testing.assert_allclose(after, before, atol=2e-4)
    assert np.abs(as_captured(found, clip.bind_vertices, R @ eye) - before).max() > 0.05


def test_pictures_are_those_of_harmonics_in_the_world(clip):
    """Colours computed in the Gaussians' own axes draw what `rasterize` makes of the turned coefficients."""
    avatar = bound(clip, with_views(as_splats(clip.avatar, clip.bind_vertices))).avatar
    posed = PosedAvatar(avatar, clip.vertices, clip.lighting, clip.cameras)
    means, quats, scales, opacities, colors = posed.frame(5)
    world = rotated(avatar.harmonics, matrices(quats.numpy()))
    camera = [torch.from_numpy(part[5:6]) for part in (clip.cameras.viewmats, clip.cameras.Ks)]
    size = {"width": clip.cameras.width, "height": clip.cameras.height}
    common = means, quats, scales, opacities
    mine = rasterize(*common, colors, *camera, **size)[0]
    theirs = rasterize(*common, torch.from_numpy(world), *camera, **size, sh_degree=3)[0]
    assert mine.max() > 0.2 and (mine - theirs).abs().max() < 1e-4


def test_an_imported_person_goes_through_a_whole_job(tmp_path: Path, capsys):
    shot = make_shot(4, width=72, height=120)
    shot.save(tmp_path / "shot.npz")
    own = avatar_from_shot(shot, 1500)
    person = with_views(as_splats(own, shot["vertices"]), 1)
    write_splats(tmp_path / "person.ply", person)
    words = ["import", tmp_path / "person.ply", "--shot", tmp_path / "shot.npz", "-o", tmp_path / "person.avatar"]
    assert main([str(word) for word in words]) == 0
    assert (tmp_path / "person.binding.png").stat().st_size > 10_000
    file = AvatarFile.load(tmp_path / "person.avatar")
    assert file.avatar.is_lit and file.avatar.binding.offsets is not None and file.avatar.count == own.count
    small = {"preset": "draft", "refine_steps": 5, "refine_height": 96, "sampling_steps": 2}
    out = animate(shot, tmp_path / "out", Settings.from_dict({**small, "avatar_file": str(tmp_path / "person.avatar")}))
    report = json.loads((out / "report.json").read_text())
    assert report["notes"]["avatar"]["source"] == "person.ply"
    cached = read_first(out / f"{shot.name}.ani3d")
    assert cached.count == own.count
    np.testing.assert_allclose(cached.sh[:, 0], person.sh[:, 0], atol=1e-5)  # no light was added
    own_axes = [rotated(each.sh, matrices(each.quats).transpose(0, 2, 1)) for each in (cached, person)]
    np.testing.assert_allclose(*own_axes, atol=1e-4)
    side = Delivery("png", shot.background_srgb, frames=(shot.meta.frame_start, shot.meta.frame_start))
    around = Rotation.from_euler("z", 0.6).as_matrix()
    moved = shot.cameras.viewmats.copy()
    moved[:, :3, :3] = moved[:, :3, :3] @ around
    cache = FrameCache.open(out / f"{shot.name}.ani3d")
    eyes = replace(shot.cameras, viewmats=moved)
    (still,) = render_shot(cache, eyes, shot.meta.frame_start, tmp_path / "film", Exposure(shutter=0), side)
    picture = cv2.imread(str(still), cv2.IMREAD_UNCHANGED)[..., 2::-1] / 65535
    gaussians, towards = (
        cache.gaussians(shot.meta.frame_start, shot.meta.frame_start),
        cached.means - eyes.positions()[0],
    )
    colors = seen(cached.sh, towards / np.linalg.norm(towards, axis=1, keepdims=True))
    true, _ = draw(gaussians, colors, eyes, 0, background=shot.background_srgb)
    np.testing.assert_allclose(picture, true, atol=2e-3)  # as the film's camera sees them, not the shot's
    last = shot.meta.frame_end
    swings_on_its_garment(cache, file.avatar, pose_rigid(shot, Progress("pose", 4))[-1], shot, last)
    capsys.readouterr()


def swings_on_its_garment(cache: FrameCache, avatar: Avatar, rigid: np.ndarray, shot: Shot, frame: int) -> None:
    """The garment's Gaussians left the places that bones alone give them, and lie on the garment; skin stayed."""
    moved, still = Splats.of_frame(cache.frame(frame)).means, avatar.pose(rigid[None])[0][0]
    away, garment = np.linalg.norm(moved - still, axis=1), avatar.region_ids == GARMENT
    assert np.median(away[garment]) > 0.005 and np.percentile(away[garment], 95) > 0.02
    assert away[avatar.region_ids == BODY].max() < 1e-4
    (skirt,) = (item for item in shot.meta.objects if item.name == "Skirt")
    faces = shot["faces"][(shot["faces"] >= skirt.rows.start).all(1) & (shot["faces"] < skirt.rows.stop).all(1)]
    points = cache.meshes()["Skirt"].vertices[frame - shot.meta.frame_start]
    off = signed_distances(moved[garment][None], points[None].astype(np.float64), faces - skirt.rows.start)
    assert np.percentile(np.abs(off), 99) < 0.002


def read_first(cache: Path) -> Splats:
    opened = FrameCache.open(cache)
    return Splats.of_frame(opened.frame(opened.manifest.frame_start))


def test_relit_ones_take_the_scenes_light_as_the_mesh_does(tmp_path: Path):
    shot = make_shot(2, width=72, height=120)
    normals = np.random.default_rng(0).normal(size=(*shot["faces"].shape, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    shining = [replace(material, specular=0.5, roughness=0.2) for material in shot.meta.materials]
    shot = replace(
        shot,
        meta=replace(shot.meta, materials=shining),
        arrays={**shot.arrays, "corner_normals": normals},
    )
    own = avatar_from_shot(shot, 800)
    found, _ = import_avatar(as_splats(own, shot["vertices"]), shot, tmp_path / "a.avatar", "a", relight=True)
    pulled = shot["vertices"] * np.float32([1.2, 1, 0.9])
    sizes, wanted = (avatar.placed(pulled)[2].numpy() for avatar in (found.avatar, own))
    wanted = wanted[found.kept]
    assert np.median(np.abs(sizes / wanted - 1)) < 1e-3 and np.median(wanted[:, 0] / own.scales[found.kept, 0]) > 1.02
    stored = AvatarFile.load(tmp_path / "a.avatar").avatar
    same = (found.avatar.binding.triangle_ids == own.binding.triangle_ids[found.kept]).numpy()
    assert same.mean() > 0.95  # others lie on an edge, where either triangle may count
    for avatar in (found.avatar, stored):
        assert not avatar.is_lit and avatar.gloss is not None
        np.testing.assert_allclose(avatar.gloss[same], own.gloss[found.kept][same], atol=1e-6)
        normals, wanted = (each.normals(shot["vertices"]) for each in (avatar, own))
        np.testing.assert_allclose(normals[same], wanted[found.kept][same], atol=1e-3)
    kept, _ = import_avatar(as_splats(own, shot["vertices"]), shot, tmp_path / "b.avatar", "b")
    assert kept.avatar.is_lit and kept.avatar.gloss is None and kept.avatar.corners is None


def test_the_avatar_of_another_character_is_refused(tmp_path: Path):
    shot = make_shot(2, width=72, height=120)
    import_avatar(as_splats(avatar_from_shot(shot, 800), shot["vertices"]), shot, tmp_path / "a.avatar", "a")
    settings = Settings.from_dict({"preset": "draft", "avatar_file": str(tmp_path / "a.avatar")})
    other = replace(shot, arrays={**shot.arrays, "faces": shot["faces"][:, [1, 2, 0]]})
    with pytest.raises(Ani3DError, match="Import or fit it again with this character's shot"):
        animate(other, tmp_path / "out", settings)


def test_a_frame_that_the_shot_has_not(tmp_path: Path):
    shot = make_shot(2)
    splats = as_splats(avatar_from_shot(shot, 800), shot["vertices"])
    with pytest.raises(Ani3DError, match="The shot has no frame 99"):
        import_avatar(splats, shot, tmp_path / "a.avatar", "a", frame=99)


def test_the_pose_of_a_frame_is_where_they_stand(tmp_path: Path):
    shot = make_shot(6)
    own = avatar_from_shot(shot, 800)
    posed = pose_rigid(shot, Progress("pose", 6))
    write_splats(tmp_path / "a.ply", as_splats(own, posed[4]))
    found, _ = import_avatar(
        read_splats(tmp_path / "a.ply"), shot, tmp_path / "a.avatar", "a", shot.meta.frame_start + 4
    )
    means, _ = found.avatar.pose(posed)
    assert np.median(np.linalg.norm(means - own.pose(posed)[0][:, found.kept], axis=2)) < 1e-4
