"""A sequence of Cloth Truth as a problem of refinement: rigid layer, true video from one or more camera paths."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace

import numpy as np

from ani3dhuman.camera import CameraPath
from ani3dhuman.pipeline.refining import open_rotations
from ani3dhuman.refinement import RefinementProblem
from ani3dhuman.refinement.problem import View
from ani3dhuman.restoration import CoarseClip

from ..cloth_truth.cameras import DIAGONAL
from ..cloth_truth.sequences import Sequence, draw_layer

DISTANCE = 1.32  # times half the person's height over the tangent of half the field of view


def diagonal(sequence: Sequence, turn: float = 0.0) -> CameraPath:
    """The paper's camera about the person's front, turned by `turn` degrees: it sweeps 60 degrees as time runs."""
    shot = sequence.shot
    names = [str(name) for name in shot.meta["bones"]]
    root = shot["bone_pose"][:, names.index("root") if "root" in names else 0].astype(np.float64)
    height = float(np.ptp(shot["vertices"][:, 2]))
    middle = root[len(root) // 2]
    rest = shot["bone_rest"][names.index("root") if "root" in names else 0].astype(np.float64)
    turned = middle[:3, :3] @ rest[:3, :3].T
    heading = np.arctan2(turned[1, 0], turned[0, 0])
    start, end, elevation, fov = DIAGONAL
    azimuth = np.radians(np.linspace(start, end, len(root)) + turn) + heading
    aim = np.repeat(root[:, :3, 3].mean(0)[None], len(root), 0)
    aim[:, :2] = root[:, :2, 3]
    aim[:, 2] = 0.51 * height
    distance = np.full(len(root), 0.5 * height * DISTANCE / np.tan(np.radians(fov) / 2))
    own = shot.cameras
    return CameraPath.around(
        aim, azimuth, float(np.radians(elevation)), distance, float(np.radians(fov)), own.width, own.height
    )


@dataclass(frozen=True)
class Case:
    """A problem with what it takes to judge its result.

    Attributes:
        clip: the rigid layer seen from the first camera; truth: (T,V,3) world metres.
        problem: with a view for each camera, its target the video of the `wanted` layer.
    """

    clip: CoarseClip
    truth: np.ndarray
    problem: RefinementProblem

    @classmethod
    def of(cls, sequence: Sequence, cameras: Many[CameraPath], wanted: np.ndarray | None = None) -> Case:
        """`wanted` (T,V,3) is the layer whose video is learnt from, None for the truth."""
        shot, clip = sequence.shot, replace(sequence.clip(), cameras=cameras[0])
        wanted = sequence.truth if wanted is None else wanted
        faces, avatar = shot["faces"], clip.avatar
        problem = RefinementProblem(
            coarse_vertices=clip.vertices,
            bind_vertices=clip.bind_vertices,
            gates=clip.freedom,
            blended_rotations=open_rotations(shot, clip.freedom),
            faces=faces,
            binding=avatar.binding,
            scales=avatar.scales,
            opacities=avatar.opacities,
            views=tuple(_view(replace(clip, cameras=path), wanted) for path in cameras),
            background=clip.background,
            body_faces=faces[(clip.vertex_regions < 2)[faces].all(1)],
        )
        return cls(clip, sequence.truth, problem)


def _view(clip: CoarseClip, wanted: np.ndarray) -> View:
    coarse = clip.pose(clip.vertices)
    target, alpha = clip.render(clip.pose(wanted))
    return View(
        cameras=clip.cameras,
        target=(target * 255 + 0.5).astype(np.uint8),
        garment_mask=draw_layer(clip, coarse)[1].cloth,
        colors=coarse.colors,
        target_alpha=(alpha * 255 + 0.5).astype(np.uint8),
    )
