"""Videos for the refinement: a layer seen from some cameras, as the prior restored it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress

from ..clip import CoarseClip
from ..pose.keypoints import KeypointMap
from ..refinement import RestoredView
from ..rendering.layers import LayerRender
from ..storage.stage_store import content_key
from . import restoring
from .job import Job
from .restoring import Restored


def view_of(
    clip: CoarseClip,
    restored: Restored,
    cameras: CameraPath,
    should_cancel: Callable[[], bool] = lambda: False,
) -> RestoredView:
    """A restored video as the refinement takes it, at the size of `cameras`.

    Where the prior knows the restored mesh, the target is rendered at this size: shrinking a larger picture would leave
    a difference in blur, which the field would try to explain by motion.

    Args:
        clip: with the pictures of its coarse layer; the field moves its base layer, and a target that is rendered has
            its appearance.
        restored: what became of it.
        cameras: those of `clip`, at the size of the fit.
        should_cancel: asked at every frame that is rendered.

    Raises:
        Cancelled: when asked to stop.
    """
    mesh, layer = restored.vertices, clip.coarse_pictures()
    target = None if mesh is None else _drawn(clip, mesh, cameras, should_cancel)
    loose = np.asarray(layer.alpha, np.float32) - np.asarray(layer.preserve, np.float32)
    return RestoredView(
        cameras=cameras,
        target=(_shrunk(restored.rgb, cameras) + 0.5).astype(np.uint8) if target is None else target,
        garment_mask=_shrunk(np.clip(loose, 0, 1), cameras),
        colors=replace(clip, cameras=cameras, appearance=None).pose(clip.base_layer).colors,
        vertices=mesh,
        visibility=None if mesh is None else restored.visibility,
    )


def _drawn(
    clip: CoarseClip, vertices: np.ndarray, cameras: CameraPath, should_cancel: Callable[[], bool]
) -> np.ndarray:
    """Pictures (T,H,W,3) uint8 of the avatar on vertices (T,V,3), at the size of `cameras`."""
    drawing = Progress("refine", clip.frames, should_cancel=should_cancel)
    return rendered(replace(clip, cameras=cameras), vertices, drawing).rgb


def rendered(clip: CoarseClip, vertices: np.ndarray, progress: Progress) -> LayerRender:
    """Pictures of the avatar on vertices (T,V,3), under the clip's appearance, from its cameras."""
    return clip.draw_layer(vertices, progress)


@dataclass(frozen=True)
class RoundVideo:
    """A layer's pictures in a further round, and what became of them."""

    layer: LayerRender
    restored: Restored


@dataclass(frozen=True)
class Restorer:
    """What `refine_in_rounds` has layers restored by; a video that is finished is kept in the job's store.

    A prior that moves the mesh moves the clip's base again: a single sample is noisy, so only a fraction of its offset
    is applied, and what several samples agree on is found from offsets to one layer.

    Attributes:
        restore_key: names everything that the first restoration depended on.
    """

    job: Job
    clip: CoarseClip
    keypoints: KeypointMap
    restore_key: str

    def __call__(
        self,
        cameras: CameraPath,
        vertices: np.ndarray,
        appearance: np.ndarray | None,
        strength: float,
        seed: int,
        progress: Progress,
    ) -> RestoredView:
        """As of `refinement.Restore`."""
        now = replace(self.clip, vertices=vertices, cameras=cameras, appearance=appearance, pictures=None)
        now = replace(now, base=self.clip.base_layer)
        name = f"round_{content_key(asdict(cameras))}"  # one for each camera path, so that they do not displace another
        key = content_key(self.restore_key, vertices, appearance, strength, seed)
        done = self.job.store.run(name, key, RoundVideo, lambda: self._restored(now, strength, seed, progress))
        seen = replace(now, base=vertices, pictures=done.layer)
        return view_of(seen, done.restored, cameras, progress.should_cancel)

    def _restored(self, clip: CoarseClip, strength: float, seed: int, progress: Progress) -> RoundVideo:
        drawing = Progress("refine", clip.frames, should_cancel=progress.should_cancel)
        layer = rendered(clip, clip.vertices, drawing)
        settings = self.job.settings.changed(
            strength=strength, seed=seed, measure_cache=False
        )  # it was measured before
        clip = replace(clip, pictures=layer)
        return RoundVideo(layer, restoring.restore_layer(self.job, settings, clip, self.keypoints, progress))

    def redraw(
        self, view: RestoredView, vertices: np.ndarray, appearance: np.ndarray | None, should_cancel: Callable[[], bool]
    ) -> RestoredView:
        """As of `refinement.Redraw`."""
        target = _drawn(replace(self.clip, appearance=appearance), vertices, view.cameras, should_cancel)
        return replace(view, target=target, vertices=vertices)


def _shrunk(pictures: np.ndarray, cameras: CameraPath) -> np.ndarray:
    """Pictures (T,H,W[,3]) at the cameras' size, float32, area-averaged."""
    size = (cameras.width, cameras.height)
    return np.stack([cv2.resize(np.asarray(p, np.float32), size, interpolation=cv2.INTER_AREA) for p in pictures])
