"""Move the body as the figure of a BVH file moves.

A figure at rest may differ from the body in bind pose (arms straight out, legs closed): bones of arms and legs take the
direction of the figure's, all others turn as the figure's do from rest. The file's axes and unit do not matter: up is
found from the rest pose, lengths are scaled by the legs.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from scipy.ndimage import grey_opening
from scipy.spatial.transform import Rotation

from ani3d_formats.errors import Ani3DError
from ani3dhuman.models.store import sha256_of
from ani3dhuman.motions.bvh import read_bvh, rotation_about
from ani3dhuman.motions.figure import LIMBS, Figure, between, resampled, shortest
from ani3dhuman.motions.motion import Motion
from ani3dhuman.pose.bone_names import SIDES

from .bodies import Body, Skeleton
from .garments import smoothstep
from .motions import FPS, grounded
from .pools import BVH

SPINE = 5  # bones of the body's spine
AIRTIME = 1.5  # seconds: feet that are up for longer stand on something, so the ground is there
SLACK = 0.02  # metres: feet no higher than this are on the ground


def bvh_path(motion: str, folder: Path | None) -> Path:
    """The file that a recipe's motion "bvh:NAME" means. Raises `Ani3DError` ``motion.file`` without a folder."""
    if folder is None:
        raise Ani3DError("motion.file", f"The motion {motion} needs its BVH file.", "Give its folder with --bvh.")
    return Path(folder) / motion.removeprefix(BVH)


def list_bvh(folder: Path) -> dict[str, str]:
    """Recipes' names of all BVH files in a folder and below, with their SHA-256; each is read, to see that it fits.

    Raises:
        Ani3DError: ``motion.file``: no folder, no such file in it, or a file that cannot be used.
    """
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() == ".bvh" and p.is_file())
    if not files:
        raise Ani3DError("motion.file", f"There is no BVH file in {folder}.", "Give the folder that has them.")
    for path in files:
        Figure.of(read_bvh(path))
    return {BVH + path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def retarget(
    rng: np.random.Generator, motion: Motion, body: Body, preroll: int, frames: int, arms_out: float = 0.0
) -> np.ndarray:
    """(preroll+frames,B,4,4) transforms from bind pose to each frame, as `make_motion`'s; the first: bind pose.

    The window is turned so that it starts facing -Y. A file that is too short gives up the motion in the pre-roll, then
    holds its last pose. The lower sole is on the ground, but where the figure's feet leave it for less than `AIRTIME`.

    Args:
        rng: draws the window of the file.
        motion: the file.
        body: who moves.
        preroll: frames in which the bind pose turns into the motion; frames: of the clip; both at 24 fps.
        arms_out: radians that the arms are held further out, for wide skirts.

    Raises:
        Ani3DError: ``motion.file``: a joint is missing, or the rest pose does not stand.
    """
    figure, skeleton = Figure.of(motion), body.skeleton
    world, travel, jump = _followed(figure, skeleton)
    last = (len(world) - 1) * motion.frame_time
    total, length = preroll + frames, int(last * FPS + 1e-6) + 1
    lead = min(max(total - length, 0), preroll)
    at = np.clip(np.arange(total) - lead + rng.integers(max(length - total, 0) + 1), 0, length - 1) / FPS
    turns, (x, y, jump) = resampled(world, np.column_stack([travel, jump]), motion.frame_time, np.minimum(at, last))

    gain = smoothstep(np.arange(total) / max(1, 0.85 * preroll)) if preroll else np.ones(total)
    heading = np.unwrap(np.arctan2(turns[:, 0, 0, 1] * -1, turns[:, 0, 1, 1]))
    start = heading[0]
    level = rotation_about("z", -heading) @ turns[:, 0]
    local = np.stack([turns[:, p].transpose(0, 2, 1) @ turns[:, b] for b, p in enumerate(skeleton.parents)], axis=1)
    local[:, 0] = level
    local = np.stack([_eased(local[:, b], gain) for b in range(local.shape[1])], axis=1)
    local[:, 0] = rotation_about("z", heading - start) @ local[:, 0]
    for side, sign in (("L", 1.0), ("R", -1.0)):
        shoulder = skeleton.index(f"shoulder.{side}")
        local[:, shoulder] = rotation_about("y", -sign * arms_out * gain) @ local[:, shoulder]
    steps = np.diff(np.column_stack([x, y]), axis=0, prepend=[[x[0], y[0]]]) * gain[:, None]
    turn = np.array([[np.cos(start), -np.sin(start)], [np.sin(start), np.cos(start)]])
    return grounded(body, local, np.cumsum(steps @ turn, 0), jump * gain)


def _followed(figure: Figure, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The body's bones turned from bind pose (T,B,3,3), its path (T,2) and its height in jumps (T,), metres, world."""
    motion, joints = figure.motion, figure.joints
    points, turns = motion.points, motion.turns
    heads = skeleton.heads
    thigh, shin, foot = (heads[skeleton.index(f"{name}.L")] for name in ("upperleg", "lowerleg", "foot"))
    scale = (np.linalg.norm(shin - thigh) + np.linalg.norm(foot - shin)) / figure.leg
    points = points @ figure.axes.T * scale
    turns = figure.axes @ turns @ figure.axes.T

    world = np.repeat(turns[:, figure.spine[:1]], len(heads), 1)
    chain = figure.spine[1:] or figure.spine
    for k in range(1, SPINE + 1):  # both spines are as long: k of 5 bones up is as far up the figure's
        place = k / SPINE * len(chain) - 1
        low, high = math.floor(place), math.ceil(place)
        below = turns[:, chain[low]] if low >= 0 else turns[:, figure.spine[0]]
        world[:, skeleton.index(f"spine{k}")] = between(below, turns[:, chain[high]], place - low)
    chest = turns[:, chain[-1]]
    head = turns[:, joints["head"]] if "head" in joints else turns[:, joints.get("neck", chain[-1])]
    neck = turns[:, joints["neck"]] if "neck" in joints else between(chest, head, 0.5)
    world[:, skeleton.index("neck")], world[:, skeleton.index("head")] = neck, head
    for side, letter in zip(SIDES, "LR", strict=True):
        joint = {name: joints[f"{side}_{name}"] for name in LIMBS}
        collar = int(motion.parents[joint["shoulder"]])
        for name in ("clavicle", "shoulder"):
            world[:, skeleton.index(f"{name}.{letter}")] = chest if collar in figure.spine else turns[:, collar]
        for bones in (
            (("upperleg", "hip", "knee"), ("lowerleg", "knee", "ankle")),
            (
                ("upperarm", "shoulder", "elbow"),
                ("lowerarm", "elbow", "wrist"),
            ),
        ):
            posture = np.eye(3)  # turns the limb in bind pose into the figure's at rest
            for bone, start, end in bones:
                b = skeleton.index(f"{bone}.{letter}")
                bind = posture @ (skeleton.tails[b] - heads[b])
                posture = shortest(bind, figure.rest[joint[end]] - figure.rest[joint[start]]) @ posture
                world[:, b] = turns[:, joint[start]] @ posture
        world[:, skeleton.index(f"hand.{letter}")] = turns[:, joint["wrist"]] @ posture  # the arm's, which is last
        world[:, skeleton.index(f"foot.{letter}")] = turns[:, joint["ankle"]]  # soles are flat in both
        toes = [j for j, name in enumerate(motion.names) if name and motion.parents[j] == joint["ankle"]]
        world[:, skeleton.index(f"toes.{letter}")] = turns[:, toes[0] if toes else joint["ankle"]]

    ankles = {joints["left_ankle"], joints["right_ankle"]}
    feet = [j for j in range(len(motion.names)) if ankles & set(motion.ancestors(j))]
    lowest = points[:, feet, 2].min(1)
    ground = grey_opening(lowest, size=2 * round(AIRTIME / motion.frame_time / 2) + 1, mode="nearest")
    return world, points[:, figure.spine[0], :2], np.maximum(lowest - ground - SLACK, 0)


def _eased(turns: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Rotations (T,3,3) by this share (T,) of their angle, which may grow beyond half a turn and so never jumps."""
    quats = Rotation.from_matrix(turns).as_quat(canonical=True)
    flips = np.where((quats[1:] * quats[:-1]).sum(1) < 0, -1.0, 1.0)
    quats[1:] *= np.cumprod(flips)[:, None]
    size = np.linalg.norm(quats[:, :3], axis=1, keepdims=True)
    angles = 2 * np.arctan2(size, quats[:, 3:]) * gain[:, None]
    return Rotation.from_rotvec(angles * quats[:, :3] / np.maximum(size, 1e-12)).as_matrix()
