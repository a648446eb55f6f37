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
from ..refinement import MeshSample, RestoredView
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
    mesh, layer, size = restored.vertices, clip.coarse_pictures(), (clip.frames, cameras.height, cameras.width)
    if restored.rgb is None:
        target = _drawn(clip, clip.vertices if mesh is None else mesh, cameras, should_cancel)
    else:
        rgb = restored.rgb
        target = np.stack([(_shrunk(rgb[t], cameras) + 0.5).astype(np.uint8) for t in range(size[0])])
    masks = np.empty(size, np.float32)
    for t, (alpha, preserve) in enumerate(zip(layer.alpha, layer.preserve, strict=True)):
        masks[t] = _shrunk(np.clip(alpha.astype(np.float32) - preserve.astype(np.float32), 0, 1), cameras)
    colors = replace(clip, cameras=cameras, appearance=None).posed(clip.base_layer).colors
    assert colors is not None
    return RestoredView(
        cameras=cameras,
        target=target,
        garment_mask=masks,
        colors=colors,
        vertices=mesh,
        visibility=None if mesh is None else restored.visibility,
    )


def _drawn(
    clip: CoarseClip, vertices: np.ndarray, cameras: CameraPath, should_cancel: Callable[[], bool]
) -> np.ndarray:
    """Pictures (T,H,W,3) uint8 of the avatar on vertices (T,V,3), at the size of `cameras`."""
    drawing = Progress("refine", clip.frames, should_cancel=should_cancel)
    return np.asarray(rendered(replace(clip, cameras=cameras), vertices, drawing).rgb)


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

    def mesh(
        self, cameras: CameraPath, vertices: np.ndarray, strength: float, seed: int, progress: Progress
    ) -> MeshSample:
        """As of `refinement.mesh_rounds.RestoreMesh`: the pictures of the layer are drawn only if the prior looks."""
        now = replace(self.clip, vertices=vertices, cameras=cameras, pictures=None, base=self.clip.base_layer)
        now = replace(now, pictures=now.layer_when_asked(vertices))
        name = f"mesh_{content_key(asdict(cameras))}"
        key = content_key(self.restore_key, vertices, strength, seed)
        settings = self.job.settings.changed(strength=strength, seed=seed, measure_cache=False)
        given = self.job, settings, now, self.keypoints, progress
        done = self.job.store.run(name, key, Restored, lambda: restoring.restore_layer(*given))
        assert done.vertices is not None
        return MeshSample(done.vertices, done.visibility)

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


def _shrunk(picture: np.ndarray, cameras: CameraPath) -> np.ndarray:
    """A picture (H,W[,3]) at the cameras' size, float32, area-averaged."""
    size = (cameras.width, cameras.height)
    return cv2.resize(np.asarray(picture, np.float32), size, interpolation=cv2.INTER_AREA)
