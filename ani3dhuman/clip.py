"""A character's layers along a camera path: what restoration starts from, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.progress import Progress
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot

from .avatar import Avatar
from .avatar.posing import PosedAvatar
from .device import CPU, Compute, to_numpy
from .rendering.draw import draw_tensors
from .rendering.layers import LayerRender, Pictures, layer_when_asked, over, render_layer
from .rendering.light_sources import Lighting
from .rigid import bone_sizes
from .storage.frames_on_disk import FrameFile, Frames, made_when_asked

_BY_FRAME = ("rigid_vertices", "vertices", "base", "appearance", "sizes")  # arrays (T,...) of a clip


@dataclass(frozen=True)
class CoarseClip:
    """A character as the rigid and physics layers leave it, seen along a camera path. World space, metres.

    Attributes:
        cameras: T cameras at picture size.
        avatar: Gaussians bound to the mesh.
        lighting: the scene's lights, for colours that follow the folds.
        background: (3,) sRGB 0..1.
        fps: frames a second.
        bind_vertices: (V,3) bind pose, which gives the rest lengths of the fabric.
        rigid_vertices: (T,V,3) what the skeleton alone says.
        vertices: (T,V,3) the coarse layer; equal to `rigid_vertices` where there is no physics.
        vertex_regions: (V,) indices into `ani3d_formats.regions.REGIONS`.
        pin_weights: (V,) 1 sits on the skin .. 0 flies free.
        base: (T,V,3) the layer that restoration moves where that is not the coarse one: a sound layer to go back to
            when the coarse one has faults. None for the coarse layer.
        appearance: (T,V,5) of the coarse layer where it was refined before, see `avatar.appearance`; or None.
        pictures: of the coarse layer, where they were drawn already; or None.
        sizes: (T,V) how many times larger than at rest bones make each vertex's surroundings; None for 1.
        compute: where Gaussians are posed and drawn, and networks run.
    """

    cameras: CameraPath
    avatar: Avatar
    lighting: Lighting
    background: np.ndarray
    fps: float
    bind_vertices: np.ndarray
    rigid_vertices: np.ndarray
    vertices: np.ndarray
    vertex_regions: np.ndarray
    pin_weights: np.ndarray
    base: np.ndarray | None = None
    appearance: np.ndarray | None = None
    pictures: LayerRender | None = None
    sizes: np.ndarray | None = None
    compute: Compute = CPU

    @classmethod
    def of_shot(
        cls,
        shot: Shot,
        avatar: Avatar,
        rigid: np.ndarray,
        pins: np.ndarray,
        coarse: np.ndarray | None = None,
        cameras: CameraPath | None = None,
        base: np.ndarray | None = None,
        compute: Compute = CPU,
    ) -> CoarseClip:
        """A shot with its layers (T,V,3) and pin weights (V,).

        Where they are not given, the coarse layer is the rigid one, the cameras are the shot's own, and what is moved
        is the coarse layer.
        """
        return cls(
            cameras=shot.cameras if cameras is None else cameras,
            avatar=avatar,
            lighting=Lighting.of(shot),
            background=shot.background_srgb,
            fps=shot.meta.fps,
            bind_vertices=shot["vertices"],
            rigid_vertices=rigid,
            vertices=rigid if coarse is None else coarse,
            vertex_regions=shot["region_ids"],
            pin_weights=pins,
            base=base,
            sizes=bone_sizes(shot),
            compute=compute,
        )

    @property
    def frames(self) -> int:
        return len(self.vertices)

    @property
    def base_layer(self) -> np.ndarray:
        """(T,V,3) the layer that restoration moves."""
        return self.vertices if self.base is None else self.base

    @property
    def freedom(self) -> np.ndarray:
        """(V,) float32, 0 where a vertex must not leave the coarse layer (body, face, pinned cloth) .. 1 free."""
        moving = is_loose(self.vertex_regions)
        return np.where(moving, 1.0 - self.pin_weights, 0.0).astype(np.float32)

    def alone(self, frame: int) -> CoarseClip:
        """One frame, as a clip of its own, without pictures."""
        t = np.array([frame])
        own: dict[str, Any] = {name: getattr(self, name) for name in _BY_FRAME}
        own = {name: None if array is None else array[t] for name, array in own.items()}
        return replace(self, cameras=self.cameras.taken(t), lighting=self.lighting.taken(t), pictures=None, **own)

    def posed(self, vertices: np.ndarray, lit: bool = True) -> PosedAvatar:
        """The avatar on deformed vertices (T,V,3), lit, and under the appearance there is, frame by frame."""
        lighting = self.lighting if lit else None
        moved = self.avatar, vertices, lighting, self.cameras, self.appearance, self.sizes, self.compute
        return PosedAvatar(*moved)

    def pose(self, vertices: np.ndarray) -> GaussianFrames:
        """All frames of `posed` as arrays: for a few."""
        return self.posed(vertices).all()

    @property
    def scales(self) -> np.ndarray:
        """(N,3) metres, of the avatar's Gaussians; (T,N,3) where bones change their size."""
        if self.sizes is None:
            return self.avatar.scales
        return np.stack([self.avatar.scales * self.avatar.per_vertex(sizes)[:, None] for sizes in self.sizes])

    def draw_layer(self, vertices: np.ndarray, progress: Progress | None = None) -> LayerRender:
        """Pictures of the avatar on vertices (T,V,3); `progress` is advanced once a frame."""
        seen = self.cameras, self.background, progress, self.compute.scratch
        return render_layer(self.posed(vertices).drawn, self.avatar.region_ids, *seen)

    def layer_when_asked(self, vertices: np.ndarray) -> LayerRender:
        """The same, each frame drawn when it is asked for."""
        seen = self.cameras, self.background, self.compute.scratch
        return layer_when_asked(self.posed(vertices).drawn, self.avatar.region_ids, *seen)

    def coarse_pictures(self) -> LayerRender:
        """Pictures of the coarse layer, drawn where they were not given."""
        return self.draw_layer(self.vertices) if self.pictures is None else self.pictures

    def rendered(self, vertices: np.ndarray) -> tuple[Frames, Frames]:
        """Pictures (T,H,W,3) sRGB 0..1 over the background and coverage (T,H,W), float32, drawn when asked for."""
        posed, size = self.posed(vertices), (len(vertices), self.cameras.height, self.cameras.width)

        def drawn(frame: int) -> tuple[np.ndarray, np.ndarray]:
            gaussians = posed.drawn(frame)
            colors, alpha = draw_tensors(gaussians, gaussians.colors, self.cameras, frame)
            return to_numpy(over(colors, alpha, self.background)), to_numpy(alpha)

        files = [FrameFile(shape, np.float32, folder=self.compute.scratch) for shape in ((*size, 3), size)]
        pictures, alphas = made_when_asked((drawn(t) for t in range(size[0])), files)
        return pictures, alphas


@dataclass(frozen=True)
class RestoredClip:
    """The result of restoration.

    Attributes:
        frames: (T,H,W,3) float32 sRGB 0..1; of a prior that knows the mesh they are drawn when they are asked for.
        alphas: (T,H,W) float32 coverage 0..1, likewise; None for priors that know only pictures.
        vertices: (T,V,3) mesh of the restored layer; None likewise.
        report: figures about the run, JSON values.
        visibility: (T,V) 0..1, of each of `vertices` to the prior; None where there are none or it is 1 for all.
    """

    frames: Pictures
    alphas: Pictures | None
    vertices: np.ndarray | None
    report: dict[str, Any]
    visibility: np.ndarray | None = None
