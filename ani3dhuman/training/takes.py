"""Takes that the Blender add-on recorded, turned into training clips.

A take is a folder with `shot.npz`, the rigid character, and `truth.pc2`, where Blender's cloth had its vertices.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.human_size import human_scale
from ani3d_formats.pc2 import read_pc2
from ani3d_formats.progress import Progress
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot

from ..avatar import avatar_from_shot
from ..avatar.from_mesh import DETAIL
from ..clip import CoarseClip
from ..cloth.pins import pin_weights
from ..rigid import pose_rigid
from ..spread import over
from .clips import HELD_OUT, write_clip

SHOT, TRUTH = "shot.npz", "truth.pc2"
GAUSSIANS = 9_000
EVERY = 8  # one take in so many is for validation
WIDTH, HEIGHT = 240, 416  # of the cameras that orbit
NEAR = 0.1  # metres before a camera at which cloth has to be in every frame


def finished_takes(folder: Path) -> list[Path]:
    """The folders of whole takes in `folder`, by name."""
    return [path.parent for path in sorted(folder.glob(f"take_*/{SHOT}")) if (path.parent / TRUTH).exists()]


def clips_of_takes(folder: Path, out: Path, views: int, progress: Progress | None = None, seed: int = 0) -> int:
    """Write the clips of all takes in `folder` that are missing in `out`; every 8th take is held out of training.

    Args:
        folder: as the operator Record Takes wrote it.
        out: gets TAKE_VIEW.npz; names of held-out takes begin with `HELD_OUT`. A cluster's machines share both folders.
        views: cameras a take: the shot's own, unless cloth comes too close to it, and others around the character.
        progress: counts takes.
        seed: of the Gaussians and cameras.

    Returns:
        How many clips were written; of takes without garment and hair none are.

    Raises:
        Ani3DError: ``training.no_takes``; ``training.take``: shot and truth do not belong together;
            ``training.nothing_loose``: no take has garment or hair.
    """
    takes = finished_takes(folder)
    if not takes:
        raise Ani3DError(
            "training.no_takes", f"There is no finished take in {folder}.", "Record takes in Blender first."
        )
    if progress:
        progress.total = len(takes)
    written, bare = 0, 0
    for take, made in zip(takes, over(_clips_of_take, (out, views, seed), takes), strict=True):
        written, bare = written + max(made, 0), bare + (made < 0)
        if progress:
            progress.advance(message=f"{take.name} has no garment and no hair" if made < 0 else "")
    if bare == len(takes):
        raise Ani3DError(
            "training.nothing_loose",
            f"None of the takes in {folder} has garment or hair: there is nothing to learn.",
            "Label garment or hair in Blender and record takes again.",
        )
    return written


def _clips_of_take(shared: tuple[Path, int, int], take: Path, _progress: Progress | None) -> int:
    """Write what is missing of a take's clips; how many, or -1 where it has nothing loose."""
    out, views, seed = shared
    number = int(take.name.removeprefix("take_"))
    name = f"{HELD_OUT}_{take.name}" if number % EVERY == EVERY - 1 else take.name
    todo = {view: path for view in range(views) if not (path := out / f"{name}_{view}.npz").exists()}
    if not todo:
        return 0
    clip, truth = clip_of_take(take, seed)
    if not is_loose(clip.avatar.region_ids).any():
        return -1
    for view, path in todo.items():
        own = view == 0 and _sees_cloth(clip)
        cameras = clip.cameras if own else orbit(clip, np.random.default_rng([seed, number, view]))
        write_clip(path, replace(clip, cameras=cameras), truth)
    return len(todo)


def clip_of_take(take: Path, seed: int = 0) -> tuple[CoarseClip, np.ndarray]:
    """A take as what a prior is given, coarse layer rigid, and its true vertices (T,V,3); both at human size.

    Raises:
        Ani3DError: ``training.take``; what a broken shot or PC2 raises.
    """
    shot, truth = Shot.load(take / SHOT), read_pc2(take / TRUTH).vertices
    wanted = (shot.frames, len(shot["vertices"]), 3)
    if truth.shape != wanted or not np.isfinite(truth).all():
        raise Ani3DError(
            "training.take",
            f"The truth of {take} has shape {truth.shape} or is not finite; its shot wants {wanted}.",
            "Remove that take and record it again.",
        )
    scale = human_scale(shot["vertices"])
    if scale != 1:
        shot, truth = shot.scaled(scale), truth * np.float32(scale)
    rigid = pose_rigid(shot, Progress("skin", shot.frames))
    avatar = avatar_from_shot(shot, GAUSSIANS, DETAIL, seed)
    return CoarseClip.of_shot(shot, avatar, rigid, pin_weights(shot)), truth


def orbit(clip: CoarseClip, rng: np.random.Generator) -> CameraPath:
    """A camera that keeps the character in view and goes round it by up to 45 degrees either way."""
    rigid, frames = clip.rigid_vertices, clip.frames
    size = float(np.ptp(clip.bind_vertices, axis=0).max())
    aim = gaussian_filter1d((rigid.min(1) + rigid.max(1)).astype(np.float64) / 2, 8.0, axis=0, mode="nearest")
    azimuth = rng.uniform(0, 2 * np.pi) + np.radians(rng.uniform(-45, 45)) * np.linspace(-1, 1, frames)
    elevation, view = np.radians(rng.uniform(-4, 22)), np.radians(rng.uniform(32, 44))
    distance = 0.5 * size * rng.uniform(1.25, 1.4) / np.tan(view / 2)
    return CameraPath.around(aim, azimuth, elevation, np.full(frames, distance), view, WIDTH, HEIGHT)


def _sees_cloth(clip: CoarseClip) -> bool:
    """Whether all cloth stays before the shot's camera: random motion may leave what was framed for another one."""
    cloth = clip.rigid_vertices[:, is_loose(clip.vertex_regions)]
    return all(float(clip.cameras.project(cloth[t], t)[1].min()) > NEAR for t in range(clip.frames))
