"""What a video prior is told, made from a shot: pose, depth, normals, preserve mask.

.venv/bin/python examples/conditions_picture.py out/demo/shot.npz -o docs/pictures/conditions_pose.png
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.avatar.posing import PosedAvatar
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.media.video import write_png
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.pipeline.stages import coarse_layer
from ani3dhuman.presentation.sheets import PAPER, titled
from ani3dhuman.rendering.layers import LayerRender, render_layer
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.restoration.conditions.scene import SceneConditions, scene_conditions
from ani3dhuman.rigid import pose_rigid

GAP, BAR = 6, 30  # pixels


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shot", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 20, 36], help="scene frames through the camera")
    parser.add_argument("--behind", type=int, default=12, help="scene frame seen from behind")
    parser.add_argument("--height", type=int, default=360, help="of each picture, pixels")
    options = parser.parse_args(arguments)

    shot = Shot.load(options.shot)
    settings = Settings()
    rigid = pose_rigid(shot, Progress("rigid", shot.frames))
    coarse = coarse_layer(shot, rigid, pin_weights(shot), settings.coarse, Progress("cloth", 2 * shot.frames)).vertices
    picks = [frame - shot.meta.frame_start for frame in [*options.frames, options.behind]]
    cameras = replace(shot.cameras, viewmats=shot["viewmats"][picks], Ks=shot["Ks"][picks])
    cameras.viewmats[-1] = _around(cameras.viewmats[-1], coarse[picks[-1]].mean(0))
    clip = _cut(shot, picks, cameras)
    avatar = avatar_from_shot(shot, settings.avatar.gaussians, DETAIL, settings.seed)
    posed = PosedAvatar(avatar, coarse[picks], Lighting.of(shot).taken(np.array(picks)), cameras)
    layer = render_layer(posed.frame, avatar.region_ids, cameras, shot.background_srgb)
    made = {kind: scene_conditions(clip, cameras, layer, kind=kind) for kind in ("pose", "depth", "normal")}
    print(made["pose"].notes[0])
    write_png(options.out, _sheet(_columns(layer, made), options.height))


def _around(view: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    """A world-to-camera matrix with the camera carried half way round the vertical through a point (3,)."""
    half = np.diag([-1.0, -1.0, 1.0, 1.0])
    half[:2, 3] = 2 * pivot[:2]
    return (view @ half).astype(np.float32)


def _cut(shot: Shot, picks: list[int], cameras: CameraPath) -> Shot:
    """A shot of some frames only."""
    meta = replace(shot.meta, frame_start=1, frame_end=len(picks))
    pose = {"bone_pose": shot["bone_pose"][picks], "viewmats": cameras.viewmats, "Ks": cameras.Ks}
    return replace(shot, meta=meta, arrays={**shot.arrays, **pose})


def _columns(layer: LayerRender, made: dict[str, SceneConditions]) -> dict[str, np.ndarray]:
    """Title -> (T,H,W,3) uint8."""
    mask = np.repeat((made["pose"].preserve * 255).astype(np.uint8)[..., None], 3, axis=-1)
    return {
        "Coarse": np.asarray(layer.rgb),
        "Pose": made["pose"].control,
        "Depth": made["depth"].control,
        "Normal": made["normal"].control,
        "Preserve mask": mask,
    }


def _sheet(columns: dict[str, np.ndarray], height: int) -> np.ndarray:
    """Kinds side by side, frames below each other, titles on top."""
    strips = []
    for title, frames in columns.items():
        width = round(frames.shape[2] * height / frames.shape[1])
        small = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
        gap = np.full((GAP, width, 3), PAPER, np.uint8)
        strips.append(np.concatenate([titled(small[0], title, BAR), *(p for s in small[1:] for p in (gap, s))]))
    gap = np.full((strips[0].shape[0], GAP, 3), PAPER, np.uint8)
    return np.concatenate([p for strip in strips for p in (gap, strip)][1:], axis=1)


if __name__ == "__main__":
    main()
