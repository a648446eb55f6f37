"""Videos for the refinement: a layer seen from some cameras, as the prior restored it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress

from ..avatar import Lighting, pose_avatar
from ..refinement import RestoredView
from ..storage.stages import content_key
from . import restoring, stages
from .job import Job
from .stages import Arrays, Scene


def view_of(
    scene: Scene,
    layer: Arrays,
    restored: Arrays,
    cameras: CameraPath,
    should_cancel: Callable[[], bool] = lambda: False,
) -> RestoredView:
    """A restored video as the refinement takes it, at the size of `cameras`.

    Where the prior knows the restored mesh, the target is rendered at this size: shrinking a larger picture would leave
    a difference in blur, which the field would try to explain by motion.

    Args:
        scene: its base layer is what the field moves; a target that is rendered has its appearance.
        layer: pictures of the coarse layer, see `stages.render_gaussians`.
        restored: as of `restoring.run`.
        cameras: those of `scene`, at the size of the fit.
        should_cancel: asked at every frame that is rendered.

    Raises:
        Cancelled: when asked to stop.
    """
    mesh = np.asarray(restored["vertices"]) if "vertices" in restored else None
    target = None if mesh is None else _drawn(scene, mesh, cameras, should_cancel)
    loose = np.asarray(layer["alpha"], np.float32) - np.asarray(layer["preserve"], np.float32)
    return RestoredView(
        cameras=cameras,
        target=(_shrunk(restored["rgb"], cameras) + 0.5).astype(np.uint8) if target is None else target,
        garment_mask=_shrunk(np.clip(loose, 0, 1), cameras),
        colors=pose_avatar(scene.avatar, np.asarray(scene.base), Lighting.of(scene.shot), cameras).colors,
        vertices=mesh,
        visibility=np.asarray(restored["visibility"]) if mesh is not None and "visibility" in restored else None,
    )


def _drawn(scene: Scene, vertices: np.ndarray, cameras: CameraPath, should_cancel: Callable[[], bool]) -> np.ndarray:
    """Pictures (T,H,W,3) uint8 of the avatar on vertices (T,V,3), at the size of `cameras`."""
    drawing = Progress("refine", scene.shot.frames, should_cancel=should_cancel)
    return rendered(replace(scene, cameras=cameras), vertices, drawing)["rgb"]


def rendered(scene: Scene, vertices: np.ndarray, progress: Progress) -> Arrays:
    """Pictures of the avatar on vertices (T,V,3), under the scene's appearance, from its cameras."""
    return stages.render_gaussians(scene.shot, scene.avatar, vertices, scene.cameras, progress, scene.appearance)


@dataclass(frozen=True)
class Restorer:
    """What `refine_in_rounds` has layers restored by; a video that is finished is kept in the job's store.

    A prior that moves the mesh moves the scene's base again: its word is worth a share of the way only, and what
    several of its samples agree on is found from offsets to one layer.

    Attributes:
        restore_key: names everything that the first restoration depended on.
    """

    job: Job
    scene: Scene
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
        now = replace(self.scene, coarse=vertices, cameras=cameras, appearance=appearance)
        name = f"round_{content_key(asdict(cameras))}"  # one for each camera path, so that they do not displace another
        layer = [vertices] if appearance is None else [vertices, appearance]
        key = content_key(self.restore_key, *layer, strength, seed)
        done = self.job.store.run(name, key, lambda: _restored(self.job, now, strength, seed, progress))
        pictures = {part[6:]: array for part, array in done.items() if part.startswith("layer_")}
        return view_of(replace(now, base=vertices), pictures, done, cameras, progress.should_cancel)

    def show(
        self, view: RestoredView, vertices: np.ndarray, appearance: np.ndarray | None, should_cancel: Callable[[], bool]
    ) -> RestoredView:
        """As of `refinement.Restore`."""
        target = _drawn(replace(self.scene, appearance=appearance), vertices, view.cameras, should_cancel)
        return replace(view, target=target, vertices=vertices)


def _restored(job: Job, scene: Scene, strength: float, seed: int, progress: Progress) -> Arrays:
    """The restored arrays, and with "layer_" before their names the pictures that were restored."""
    drawing = Progress("refine", scene.shot.frames, should_cancel=progress.should_cancel)
    layer = rendered(scene, np.asarray(scene.coarse), drawing)
    settings = replace(job.settings, strength=strength, seed=seed, measure_cache=False)  # it was measured before
    restored = restoring.restore_layer(job.out, settings, scene, layer, progress)
    return {**restored, **{f"layer_{name}": array for name, array in layer.items()}}


def _shrunk(pictures: np.ndarray, cameras: CameraPath) -> np.ndarray:
    """Pictures (T,H,W[,3]) at the cameras' size, float32, area-averaged."""
    size = (cameras.width, cameras.height)
    return np.stack([cv2.resize(np.asarray(p, np.float32), size, interpolation=cv2.INTER_AREA) for p in pictures])
