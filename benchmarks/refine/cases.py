"""A sequence of Cloth Truth as a problem of refinement: a layer to start from, videos from one or more camera paths."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.regions import is_loose
from ani3dhuman.clip import CoarseClip
from ani3dhuman.cloth.limits import limit_offsets
from ani3dhuman.pipeline.refining import open_rotations
from ani3dhuman.refinement import RefinementProblem
from ani3dhuman.refinement.problem import RestoredView
from cloth_truth.cameras import make_camera
from cloth_truth.sequences import Sequence, draw_layer

HELD_OUT_TURN = 60.0  # degrees from the first path to the view that judges


def diagonal(sequence: Sequence, turn: float = 0.0) -> CameraPath:
    """The paper's camera about the person's front, turned by `turn` degrees: it sweeps 60 degrees as time runs."""
    heading = sequence.heading + np.radians(turn)
    hips = sequence.root_poses[:, :3, 3]
    return make_camera(np.random.default_rng(0), "diagonal", hips, sequence.height, float(heading))


@dataclass(frozen=True)
class Case:
    """A problem with what it takes to judge its result.

    Attributes:
        clip: the rigid layer seen from the first camera; truth: (T,V,3) world metres.
        problem: with a view for each camera, its target the video of the `wanted` layer.
        side: a camera that the fit has not seen.
    """

    clip: CoarseClip
    truth: np.ndarray
    problem: RefinementProblem
    side: CameraPath

    @classmethod
    def of(
        cls, sequence: Sequence, cameras: Many[CameraPath], start: np.ndarray, wanted: np.ndarray | None = None
    ) -> Case:
        """The field is added to `start` (T,V,3); `wanted` is the layer whose video is learnt from, None for truth."""
        shot, clip = sequence.shot, replace(sequence.clip(), cameras=cameras[0])
        wanted = sequence.truth if wanted is None else wanted
        faces, avatar = shot["faces"], clip.avatar
        problem = RefinementProblem(
            coarse_vertices=start,
            bind_vertices=clip.bind_vertices,
            gates=clip.freedom,
            blended_rotations=open_rotations(shot, clip.freedom),
            faces=faces,
            binding=avatar.binding,
            scales=avatar.scales,
            opacities=avatar.opacities,
            views=tuple(_view(replace(clip, cameras=path), start, wanted) for path in cameras),
            background=clip.background,
            body_faces=faces[~is_loose(clip.vertex_regions)[faces].any(1)],
        )
        return cls(clip, sequence.truth, problem, diagonal(sequence, HELD_OUT_TURN))

    def limited(self, vertices: np.ndarray) -> np.ndarray:
        """Refined vertices (T,V,3) brought back to what cloth can do, as jobs do it."""
        start = self.problem.coarse_vertices
        return start + limit_offsets(replace(self.clip, vertices=start), vertices - start)


def _view(clip: CoarseClip, start: np.ndarray, wanted: np.ndarray) -> RestoredView:
    coarse = clip.pose(start)
    target, alpha = (np.asarray(part) for part in clip.rendered(wanted))
    return RestoredView(
        cameras=clip.cameras,
        target=(target * 255 + 0.5).astype(np.uint8),
        garment_mask=draw_layer(clip, coarse)[1].cloth,
        colors=coarse.colors,
        target_alpha=(alpha * 255 + 0.5).astype(np.uint8),
    )
