"""Motions from BVH files against answers known by hand, damaged files, and recipes with and without files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ani3d_formats.errors import Ani3DError
from ani3dhuman.models.store import sha256_of
from ani3dhuman.motions.bvh import read_bvh
from ani3dhuman.pose.keypoints import map_keypoints
from cloth_truth import generate as generating
from cloth_truth.bodies import make_body
from cloth_truth.character import plan
from cloth_truth.patterns import PALETTES
from cloth_truth.pools import SPLITS, draw_recipe, pool
from cloth_truth.produce import produce
from cloth_truth.retarget import SLACK, list_bvh, retarget

BODY = make_body("medium")
THIGH, SHIN = 44.0, 46.0  # of the figure, which is in centimetres
FIGURE: list[tuple[str, str | None, tuple[float, float, float]]] = [  # a T pose, Y up, facing +Z, its left is +X
    ("Hips", None, (0, 0, 0)),
    ("Spine", "Hips", (0, 12, 0)),
    ("Chest", "Spine", (0, 18, 0)),
    ("Neck", "Chest", (0, 24, 0)),
    ("Head", "Neck", (0, 10, 0)),
]
for _side, _sign in (("Left", 1), ("Right", -1)):
    FIGURE += [
        (f"{_side}Shoulder", "Chest", (_sign * 4, 20, 0)),
        (f"{_side}Arm", f"{_side}Shoulder", (_sign * 14, 0, 0)),
        (f"{_side}ForeArm", f"{_side}Arm", (_sign * 27, 0, 0)),
        (f"{_side}Hand", f"{_side}ForeArm", (_sign * 25, 0, 0)),
        (f"{_side}UpLeg", "Hips", (_sign * 9, -4, 0)),
        (f"{_side}Leg", f"{_side}UpLeg", (0, -THIGH, 0)),
        (f"{_side}Foot", f"{_side}Leg", (0, -SHIN, 0)),
    ]
POSER = {"Arm": "Shoulder", "ForeArm": "Elbow", "Hand": "Wrist", "UpLeg": "Hip", "Leg": "Knee", "Foot": "Ankle"}
Y_UP, Z_UP, X_UP = np.eye(3), np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
Pose = dict[str, Rotation]


def write(
    path: Path,
    poses: list[Pose],
    roots: np.ndarray | None = None,
    order: str = "ZXY",
    axes: np.ndarray = Y_UP,
    fps: float = 24,
    rename: dict[str, str] | None = None,
    positions: bool = False,
) -> Path:
    """FIGURE in these poses, with its root at `roots` (T,3), both as seen in Y-up axes, which `axes` turns."""
    names, rename = [], rename or {}

    def joint(name: str, parent: str | None, offset: tuple[float, float, float]) -> list[str]:
        names.append(name)
        side = "Left" if name.startswith("Left") else "Right" if name.startswith("Right") else ""
        stem = name.removeprefix(side)
        moved = ["Xposition", "Yposition", "Zposition"] if parent is None or positions else []
        channels = [*moved, *(f"{axis}rotation" for axis in order)]
        called = side + rename.get(stem, stem)
        lines = [f"{'JOINT' if parent else 'ROOT'} {called}", "{", " ".join(["OFFSET", *map(str, axes @ offset)])]
        lines.append(f"CHANNELS {len(channels)} {' '.join(channels)}")
        for child in FIGURE:
            if child[1] == name:
                lines += joint(*child)
        if name.endswith("Foot"):
            toe = axes @ np.array([0, -6, 14])
            lines += ["End Site", "{", " ".join(["OFFSET", *map(str, toe)]), "}"]
        return [*lines, "}"]

    text = ["HIERARCHY", *joint(*FIGURE[0]), "MOTION", f"Frames: {len(poses)}", f"Frame Time: {1 / fps:.9f}"]
    offsets = {name: np.array(offset) for name, _, offset in FIGURE}
    for t, pose in enumerate(poses):
        row: list[float] = []
        for name in names:
            if name == "Hips" or positions:
                row += list(axes @ (offsets[name] if name != "Hips" or roots is None else roots[t]))
            turn = Rotation.from_matrix(axes @ pose.get(name, Rotation.identity()).as_matrix() @ axes.T)
            row += list(turn.as_euler(order, degrees=True))
        text.append(" ".join(f"{value:.7f}" for value in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text) + "\n")
    return path


def about(axis: str, degrees: float) -> Rotation:
    return Rotation.from_euler(axis, degrees, degrees=True)


def moved(path: Path, frames: int = 1, preroll: int = 0, seed: int = 0) -> np.ndarray:
    return retarget(np.random.default_rng(seed), read_bvh(path), BODY, preroll, frames)


def direction(transforms: np.ndarray, bone: str) -> np.ndarray:
    """Unit (3,) of a bone in the last frame, world."""
    b = BODY.skeleton.index(bone)
    along = transforms[-1, b, :3, :3] @ (BODY.skeleton.tails[b] - BODY.skeleton.heads[b])
    return along / np.linalg.norm(along)


def hips(transforms: np.ndarray) -> np.ndarray:
    """(T,3) the head of the root bone."""
    return transforms[:, 0, :3, :3] @ BODY.skeleton.heads[0] + transforms[:, 0, :3, 3]


def soles(transforms: np.ndarray) -> np.ndarray:
    """(T,) height of the lowest vertex of the feet, skinned to the bone that holds it most."""
    points, owner = BODY.vertices[BODY.feet], BODY.weights[BODY.feet].argmax(1)
    held = transforms[:, owner]
    world = np.einsum("tpij,pj->tpi", held[..., :3, :3], points) + held[..., :3, 3]
    return world[..., 2].min(1)


SCALE = float(
    sum(
        np.linalg.norm(BODY.skeleton.heads[BODY.skeleton.index(b)] - BODY.skeleton.heads[BODY.skeleton.index(a)])
        for a, b in (("upperleg.L", "lowerleg.L"), ("lowerleg.L", "foot.L"))
    )
    / (THIGH + SHIN)
)
KNOWN = [  # what is turned, which bone it moves, where that points in the benchmark's world (Z up, facing -Y)
    ({}, "upperarm.L", (1, 0, 0)),
    ({}, "lowerarm.R", (-1, 0, 0)),
    ({}, "lowerleg.L", (0, 0, -1)),
    ({"LeftArm": about("Z", -90)}, "upperarm.L", (0, 0, -1)),
    ({"LeftArm": about("Z", -90)}, "lowerarm.L", (0, 0, -1)),
    ({"LeftArm": about("Z", 90)}, "upperarm.L", (0, 0, 1)),
    ({"LeftArm": about("Y", -90)}, "upperarm.L", (0, -1, 0)),
    ({"LeftArm": about("Z", -90), "LeftForeArm": about("Y", -90)}, "lowerarm.L", (0, -1, 0)),
    ({"LeftShoulder": about("Y", -90)}, "upperarm.L", (0, -1, 0)),
    ({"RightUpLeg": about("X", -90)}, "upperleg.R", (0, -1, 0)),
    ({"RightUpLeg": about("X", -90), "RightLeg": about("X", 90)}, "lowerleg.R", (0, 0, -1)),
    ({"Spine": about("X", 45), "Chest": about("X", 45)}, "upperarm.L", (1, 0, 0)),
    ({"Chest": about("Y", 90)}, "upperarm.L", (0, 1, 0)),
]


@pytest.mark.filterwarnings("ignore:Gimbal lock")  # of two ways to write a right angle one is as good
@pytest.mark.parametrize(("pose", "bone", "expected"), KNOWN)
def test_limbs_point_where_the_figures_do(tmp_path, pose, bone, expected):
    transforms = moved(write(tmp_path / "a.bvh", [pose]))
    np.testing.assert_allclose(direction(transforms, bone), expected, atol=1e-5)


def test_trunk_head_and_feet_turn_as_the_figures_do_from_rest(tmp_path):
    transforms = moved(write(tmp_path / "a.bvh", [{"Spine": about("X", 30), "Head": about("Y", 40)}]))
    turn = {name: Rotation.from_matrix(transforms[0, b, :3, :3]) for b, name in enumerate(BODY.skeleton.names)}
    bent = about("x", 30)  # the figure's +X is the body's +X, its +Y the body's +Z
    for name, expected in {
        "hips": about("x", 0), "spine5": bent, "neck": bent, "head": bent * about("z", 40),
        "foot.L": about("x", 0), "toes.R": about("x", 0),
    }.items():  # fmt: skip
        assert (turn[name].inv() * expected).magnitude() < 1e-4, name
    angles = [turn[f"spine{k}"].magnitude() for k in range(1, 6)]
    np.testing.assert_allclose(np.degrees(angles), [12, 24, 30, 30, 30], atol=0.01)  # Spine is half way up of two


def test_collar_bones_and_a_nameless_head_follow_what_they_hang_on(tmp_path):
    poses = [{"Chest": about("Y", 30), "LeftShoulder": about("Z", 20)}]
    transforms = moved(write(tmp_path / "a.bvh", poses, rename={"Neck": "Stalk", "Head": "Ball"}))
    chest = about("z", 30)
    for name, expected in {
        "clavicle.L": chest * about("y", -20), "shoulder.L": chest * about("y", -20),
        "clavicle.R": chest, "neck": chest, "head": chest,
    }.items():  # fmt: skip
        turn = Rotation.from_matrix(transforms[0, BODY.skeleton.index(name), :3, :3])
        assert (turn.inv() * expected).magnitude() < 1e-4, name


@pytest.mark.parametrize("order", ["XYZ", "YZX", "ZYX"])
@pytest.mark.parametrize("axes", [Y_UP, Z_UP, X_UP])
def test_order_of_rotations_and_axes_of_the_file_do_not_matter(tmp_path, order, axes):
    rng = np.random.default_rng(5)
    poses = [{name: Rotation.from_rotvec(rng.normal(size=3) * 0.3) for name, _, _ in FIGURE} for _ in range(4)]
    roots = rng.normal(size=(4, 3)) * 10
    plain = moved(write(tmp_path / "a.bvh", poses, roots), 4)
    other = moved(write(tmp_path / "b.bvh", poses, roots, order, axes, positions=order == "XYZ"), 4)
    np.testing.assert_allclose(other, plain, atol=2e-5)
    assert np.ptp(plain, axis=0).max() > 0.1


def test_other_names_of_the_joints_give_the_same(tmp_path):
    poses = [{"LeftArm": about("Z", -50), "RightLeg": about("X", 40)}]
    plain = moved(write(tmp_path / "a.bvh", poses))
    poser = {**POSER, "Shoulder": "Collar"}
    np.testing.assert_array_equal(moved(write(tmp_path / "b.bvh", poses, rename=poser)), plain)


def test_the_root_walks_the_scaled_distance_from_facing_minus_y(tmp_path):
    steps = np.linspace(0, 100, 25)
    roots = np.stack([steps, np.full(25, 95.0), np.zeros(25)], axis=1)  # along the figure's +X, which it faces
    transforms = moved(write(tmp_path / "a.bvh", [{"Hips": about("Y", 90)}] * 25, roots), 25)
    np.testing.assert_allclose(transforms[:, 0, :3, :3], np.broadcast_to(np.eye(3), (25, 3, 3)), atol=1e-6)
    path = hips(transforms)
    np.testing.assert_allclose(path[-1] - path[0], (0, -100 * SCALE, 0), atol=1e-4)
    np.testing.assert_allclose(np.diff(path[:, 1]), -100 * SCALE / 24, atol=1e-4)


def test_frames_are_resampled_to_24_a_second(tmp_path):
    poses = [{"Hips": about("Y", 1.5 * t)} for t in range(121)]  # 180 degrees in the two seconds of 60 frames
    transforms = moved(write(tmp_path / "a.bvh", poses, fps=60), 49)
    headings = np.unwrap(np.arctan2(transforms[:, 0, 1, 0], transforms[:, 0, 0, 0]))
    np.testing.assert_allclose(np.degrees(headings), 3.75 * np.arange(49), atol=1e-3)


def test_it_starts_from_the_bind_pose_and_short_files_hold_their_last_pose(tmp_path):
    poses = [{"LeftArm": about("Z", -10.0 * t)} for t in range(6)]
    path = write(tmp_path / "a.bvh", poses)
    transforms = moved(path, frames=10, preroll=8)
    np.testing.assert_allclose(transforms[0], np.broadcast_to(np.eye(4), (26, 4, 4)), atol=2e-3)
    for t in range(10):
        angle = np.radians(-10 * min(t, 5))
        expected = (np.cos(angle), 0, np.sin(angle))
        np.testing.assert_allclose(direction(transforms[: 9 + t], "upperarm.L"), expected, atol=1e-5)
    assert np.abs(np.diff(transforms[-4:], axis=0)).max() < 1e-3
    one = moved(write(tmp_path / "b.bvh", poses[:1]), frames=3, preroll=2)
    np.testing.assert_allclose(direction(one, "upperarm.L"), (1, 0, 0), atol=1e-5)


def test_the_seed_chooses_the_window_of_a_long_file(tmp_path):
    path = write(tmp_path / "a.bvh", [{"Head": about("Y", 0.5 * t)} for t in range(100)])
    head = BODY.skeleton.index("head")
    seen = set()
    for seed in range(6):
        transforms = moved(path, 5, 0, seed)
        np.testing.assert_array_equal(transforms, moved(path, 5, 0, seed))
        angles = np.degrees(np.arctan2(transforms[:, head, 1, 0], transforms[:, head, 0, 0]))
        np.testing.assert_allclose(np.diff(angles), 0.5, atol=1e-3)
        seen.add(round(float(angles[0]), 1))
    assert len(seen) > 3 and max(seen) <= 47.5


def test_soles_stay_on_the_ground_but_for_jumps(tmp_path):
    time = np.arange(96)
    roots = np.zeros((96, 3))
    roots[:, 1] = 98 + 40 * np.clip((time - 12) / 24, 0, 1)  # up a slope
    crouched = [{"LeftUpLeg": about("X", -40), "LeftLeg": about("X", 70), "RightUpLeg": about("X", -20)}] * 96
    slope = soles(moved(write(tmp_path / "a.bvh", crouched, roots), 96))
    assert np.abs(slope).max() < 0.02
    roots[:, 1] = 98 + 40 * np.clip(np.sin((time - 40) * np.pi / 12), 0, 1) * ((time > 40) & (time < 52))
    jump = soles(moved(write(tmp_path / "b.bvh", [{}] * 96, roots), 96))
    assert jump.argmax() == 46 and jump.max() == pytest.approx(40 * SCALE - SLACK, abs=0.02)
    assert np.abs(np.r_[jump[:38], jump[55:]]).max() < 0.02


def lines_of(path: Path) -> list[str]:
    return write(path, [{}, {}]).read_text().splitlines()


def edit(lines: list[str], at: int, text: str) -> list[str]:
    return [*lines[:at], text, *lines[at + 1 :]]


BAD = [
    (lambda s: s[: s.index("MOTION")], "without a MOTION section", -1),
    (lambda s: edit(s, 4, s[4].replace("6", "7", 1) if "CHANNELS" in s[4] else s[4]), "CHANNELS says 7", 5),
    (lambda s: edit(s, 4, s[4].replace("Xrotation", "Wrotation")), "no channel 'wrotation'", 5),
    (lambda s: edit(s, 3, "OFFSET 0 0"), "OFFSET has 2 numbers", 4),
    (lambda s: [line for i, line in enumerate(s) if i != 3], "joint 'Hips' has no OFFSET", -1),
    (lambda s: [line for i, line in enumerate(s) if i != s.index("MOTION") - 1], "a brace is not closed", -1),
    (lambda s: edit(s, 1, "BONE Hips"), "'BONE Hips' is not understood", 2),
    (lambda s: s[s.index("MOTION") :], "there is no ROOT joint", 1),
    (lambda s: edit(s, len(s) - 1, s[-1] + " 1.0"), "the frame has 61 numbers in place of 60", 0),
    (lambda s: edit(s, len(s) - 1, s[-1].rsplit(" ", 1)[0]), "the frame has 59 numbers in place of 60", 0),
    (lambda s: edit(s, len(s) - 1, s[-1].rsplit(" ", 1)[0] + " nan"), "not finite", 0),
    (lambda s: edit(s, len(s) - 1, s[-1].rsplit(" ", 1)[0] + " 1,5"), "not a number", 0),
    (lambda s: s[:-1], "says 2 frames and has 1", -1),
    (lambda s: [*edit(s, len(s) - 4, "Frames: 0")[:-2]], "zero frames", -1),
    (lambda s: edit(s, len(s) - 3, "Frame Time: 0"), "frame time of 0 seconds", -1),
    (lambda s: edit(s, len(s) - 3, "Frame Time: inf"), "not finite", -1),
    (lambda s: edit(s, len(s) - 4, "Frames: many"), "not followed by 'Frames: N'", -1),
]


@pytest.mark.parametrize(("damage", "message", "line"), BAD, ids=[message for _, message, _ in BAD])
def test_damaged_files_are_told_with_their_line(tmp_path, damage, message, line):
    path = tmp_path / "bad.bvh"
    lines = damage(lines_of(path))
    path.write_text("\n".join(lines))
    with pytest.raises(Ani3DError) as caught:
        read_bvh(path)
    assert caught.value.code == "motion.file" and caught.value.hint
    assert message in caught.value.message
    at = {0: len(lines), -1: r"\d+"}.get(line, line)
    assert f"{path}, line " in caught.value.message if line < 0 else f"{path}, line {at}:" in caught.value.message


def test_files_that_are_no_human_or_do_not_stand_are_told(tmp_path):
    missing = write(tmp_path / "a" / "a.bvh", [{}], rename={"Leg": "Thing", "ForeArm": "Fore"})
    lying = tmp_path / "b" / "b.bvh"
    text = write(lying, [{}]).read_text()
    for length in (THIGH, SHIN):  # legs point up, along the spine, as where every bone lies along one axis
        text = text.replace(f"OFFSET 0.0 -{length} 0.0", f"OFFSET 0.0 {length} 0.0")
    lying.write_text(text)
    (tmp_path / "c").mkdir()
    for folder, parts in (
        ("a", ("left_knee", "right_knee", "left_elbow", "LeftThing", "Hips")),
        ("b", (str(lying), "no standing human")),
        ("c", ("no BVH file",)),
    ):
        with pytest.raises(Ani3DError) as caught:
            list_bvh(tmp_path / folder)
        assert caught.value.code == "motion.file"
        assert all(part in caught.value.message for part in parts), caught.value.message
    with pytest.raises(Ani3DError, match="cannot be read"):
        read_bvh(tmp_path / "nowhere.bvh")
    assert missing.exists()


def test_without_files_recipes_are_what_they_were():
    digest = hashlib.sha256()
    for split in ("train", "validation", "test"):
        for index in range(100):
            digest.update(json.dumps(draw_recipe(split, index, 0, 12).as_json()).encode())
    assert digest.hexdigest() == "5779b44ce4bcae1d79e0d8f3f0294a0a9c64605fea91eca75f7a41ee8505e2d4"
    assert draw_recipe("train", 17, 0, 12).as_json() == {
        "name": "train_0017", "split": "train", "seed": (0, 0, 17), "body": "small", "cut": "knee_pleated",
        "top": "bodice", "sleeves": False, "hair": "strips", "pattern": "plain", "palette": 2, "fabric": "silk",
        "motion": "walk_turn", "camera": "orbit",
    }  # fmt: skip


def test_with_files_only_the_motions_of_training_change():
    files = ("bvh:a.bvh", "bvh:deep/b.bvh")
    motions = set()
    for split in SPLITS:
        for index in range(60):
            plain, other = (draw_recipe(split, index, 0, 12, bvh).as_json() for bvh in ((), files))
            if split == "train":
                motions |= {other.pop("motion")}
                plain.pop("motion")
            assert other == plain
    assert motions == {*files, *pool("motion", "train")}


@pytest.mark.parametrize("count", [1, 3, 8])  # 3 of them and training's 7 have common factors with its 9 cuts and one
def test_every_cut_meets_every_file_and_all_come_as_often(count):
    files = [f"bvh:{i}.bvh" for i in range(count)]
    motions = [*files, *pool("motion", "train")]
    recipes = [draw_recipe("train", i, 0, 12, files) for i in range(100 * len(motions))]
    assert {(r.cut, r.motion) for r in recipes} == {(c, m) for c in pool("cut", "train") for m in motions}
    assert {sum(r.motion == m for r in recipes) for m in motions} == {100}


class Still:
    """In Blender's place: cloth that follows the body."""

    def __call__(self, folder: Path) -> float:
        with np.load(folder / "solver_input.npz") as file:
            kept = {key: file[key] for key in file.files if key.startswith("vertices_")}
        np.savez(folder / "solver_output.npz", seconds=np.array(0.0), **kept)
        return 0.0


def test_a_sequence_and_the_manifest_say_which_file_moves_it(tmp_path):
    poses = [{"LeftArm": about("Z", -55), "RightArm": about("Z", 55), "Hips": about("Y", 0.5 * t)} for t in range(12)]
    path = write(tmp_path / "in" / "deep" / "turn.BVH", poses)
    files = list_bvh(tmp_path / "in")
    assert files == {"bvh:deep/turn.BVH": sha256_of(path)}
    drawn = [draw_recipe("train", i, 0, len(PALETTES), tuple(files)) for i in range(200)]
    recipe = next(r for r in drawn if r.motion in files and r.cut == "mini_aline")
    planned = plan(recipe, 3, 2, 0.4, tmp_path / "in")
    assert map_keypoints(planned.shot).is_human and len(planned.rigid) == 5
    with pytest.raises(Ani3DError, match="--bvh"):
        plan(recipe, 3, 2, 0.4)

    root = tmp_path / "out"
    root.mkdir()
    assert produce(recipe, root, Still(), 3, 2, 0.4, tmp_path / "in") is None  # type: ignore[arg-type]
    source = {"file": "deep/turn.BVH", "sha256": sha256_of(path)}
    about_it = json.loads((root / recipe.name / "sequence.json").read_text())
    assert about_it["bvh"] == source and about_it["recipe"]["motion"] == "bvh:deep/turn.BVH"
    manifest = generating.write_manifest(root, 0, {"train": 1}, files)
    assert manifest["bvh"] == [source] and manifest["sequences"][0]["bvh"] == source
    assert "bvh" not in generating.write_manifest(root, 0, {"train": 1})

    index = int(recipe.name.removeprefix("train_"))

    def tasks(bvh: Path | None, given: dict[str, str]) -> list[generating.Task]:
        tried = dict.fromkeys(SPLITS, 0) | {"train": index}
        return generating._round(root, {"train": 1}, dict.fromkeys(SPLITS, 0), tried, 0, bvh, given)

    assert tasks(tmp_path / "in", files)[0] == generating.Task(recipe, root, tmp_path / "in")
    for given in ({}, {"bvh:deep/turn.BVH": "0" * 64}):  # no files any more, or another one of this name
        with pytest.raises(Ani3DError) as caught:
            tasks(None, given)
        assert caught.value.code == "cloth_truth.motion"
