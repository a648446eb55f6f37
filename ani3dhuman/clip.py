"""A character's layers along a camera path: what restoration starts from, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.progress import Progress
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot

from .avatar import Avatar, pose_avatar
from .rendering.draw import draw
from .rendering.layers import LayerRender, render_layer
from .rendering.light_sources import Lighting
from .rigid import bone_sizes


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

    def pose(self, vertices: np.ndarray) -> GaussianFrames:
        """The avatar on deformed vertices (T,V,3), lit, and under the appearance there is."""
        return pose_avatar(self.avatar, vertices, self.lighting, self.cameras, self.appearance, self.scales)

    @property
    def scales(self) -> np.ndarray:
        """(N,3) metres, of the avatar's Gaussians; (T,N,3) where bones change their size."""
        if self.sizes is None:
            return self.avatar.scales
        return np.stack([self.avatar.scales * self.avatar.per_vertex(sizes)[:, None] for sizes in self.sizes])

    def draw_layer(self, vertices: np.ndarray, progress: Progress | None = None) -> LayerRender:
        """Pictures of the avatar on vertices (T,V,3); `progress` is advanced once a frame."""
        return render_layer(self.pose(vertices), self.avatar.region_ids, self.cameras, self.background, progress)

    def coarse_pictures(self) -> LayerRender:
        """Pictures of the coarse layer, drawn where they were not given."""
        return self.draw_layer(self.vertices) if self.pictures is None else self.pictures

    def render(self, gaussians: GaussianFrames, progress: Progress | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Draw posed Gaussians over the background; `progress` is advanced once a frame.

        Returns:
            Pictures (T,H,W,3) sRGB 0..1 and their coverage (T,H,W) 0..1, float32.
        """
        size = (gaussians.frames, self.cameras.height, self.cameras.width)
        pictures, alphas = np.empty((*size, 3), np.float32), np.empty(size, np.float32)
        for t in range(gaussians.frames):
            colors, alphas[t] = draw(gaussians, gaussians.colors[t], self.cameras, t)
            pictures[t] = np.clip(colors + (1 - alphas[t, ..., None]) * self.background, 0, 1)
            if progress:
                progress.advance()
        return pictures, alphas


@dataclass(frozen=True)
class RestoredClip:
    """The result of restoration.

    Attributes:
        frames: (T,H,W,3) float32 sRGB 0..1.
        alphas: (T,H,W) float32 coverage 0..1; None for priors that know only pictures.
        vertices: (T,V,3) mesh of the restored layer; None likewise.
        offsets: (T,N,3) world metres by which each Gaussian left the coarse layer; None likewise.
        report: figures about the run, JSON values.
        visibility: (T,V) 0..1, of each of `vertices` to the prior; None where there are none or it is 1 for all.
    """

    frames: np.ndarray
    alphas: np.ndarray | None
    vertices: np.ndarray | None
    offsets: np.ndarray | None
    report: dict[str, Any]
    visibility: np.ndarray | None = None
