"""An avatar on a deformed mesh: what the rasteriser draws, frame by frame on the device of a job."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames

from ..device import CPU, Compute, to_numpy
from ..mesh.topology import neighbours_of
from ..rendering.light_sources import Lighting
from ..storage.frames_on_disk import Frames
from .appearance import apply_appearance, check_appearance
from .avatar import Avatar
from .binding import SurfaceBinding
from .folds import outmost
from .lifts import nearer
from .shaded import shaded_frames


class Posed(NamedTuple):
    """Gaussians of one frame, float32 on one device: what `rasterize` takes.

    Attributes:
        means: (N,3) world metres; quats: (N,4) wxyz.
        scales: (N,3) metres; opacities: (N,) 0..1.
        colors: (N,3) sRGB, above 1 where they are brighter than white; (N,0) where nobody asked for them.
    """

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor

    def chosen(self, which: Tensor) -> Posed:
        """Some of them, (N,) bool or indices."""
        return Posed(*(part[which] for part in self))


@dataclass(frozen=True)
class PosedAvatar:
    """An avatar on a moving mesh; a frame is made when it is asked for, best one after the other.

    Attributes:
        avatar: canonical Gaussians bound to the mesh.
        vertices: (T,V,3) deformed mesh, world metres.
        lighting: the scene's lights; None leaves colours out.
        cameras: T cameras; thin cloth is lit on the side they see.
        appearance: (T,V,5) what refinement adds to scales, opacities and lit colours, see `avatar.appearance`; or None.
        sizes: (T,V) by which bones scale each vertex's surroundings; None for 1.
        compute: where the Gaussians are.

    Raises:
        Ani3DError: ``appearance.shape`` for that of another mesh or other frames, or one that is not finite.
    """

    avatar: Avatar
    vertices: np.ndarray
    lighting: Lighting | None
    cameras: CameraPath
    appearance: np.ndarray | None = None
    sizes: np.ndarray | None = None
    compute: Compute = CPU

    def __post_init__(self) -> None:
        if self.appearance is not None:
            check_appearance(self.appearance, *self.vertices.shape[:2])

    @property
    def frames(self) -> int:
        return len(self.vertices)

    @property
    def count(self) -> int:
        return self.avatar.count

    @cached_property
    def binding(self) -> SurfaceBinding:
        """Where the Gaussians sit, on the device."""
        return self.avatar.binding.to(self.compute.device)

    @cached_property
    def opacities(self) -> Tensor:
        """(N,) without appearance."""
        return self.compute.tensor(self.avatar.opacities)

    @cached_property
    def colors(self) -> Frames | None:
        """(T,N,3) sRGB under the lights, without appearance; made as they are asked for."""
        if self.lighting is None:
            return None
        eyes = self.cameras.positions()
        return shaded_frames(self.avatar, self.vertices, self.lighting, eyes, self.compute.scratch)

    @torch.no_grad()
    def means(self, frame: int) -> Tensor:
        """(N,3) world metres."""
        return self.binding.pose(self.compute.tensor(self.vertices[frame]))[0]

    @torch.no_grad()
    def frame(self, frame: int) -> Posed:
        """One of them, 0..T-1."""
        vertices, sizes = self.compute.tensor(self.vertices[frame]), None
        means, quats = self.binding.pose(vertices)
        scales = self._plain_scales
        if self.sizes is not None:
            sizes = self.compute.tensor(self.sizes[frame])
            scales = self.compute.tensor(self.avatar.scales * self.avatar.per_vertex(self.sizes[frame])[:, None])
        quats, scales = self.binding.stretch(vertices, quats, scales, sizes)
        if self._around is not None:
            quats, scales = self.binding.narrow(vertices, *self._around, means, quats, scales)
        opacities = self.opacities
        colors = means[:, :0] if self.colors is None else self.compute.tensor(self.colors[frame])
        if self.appearance is not None and self.colors is not None:
            given = self.compute.tensor(self.appearance[frame]), scales, opacities, colors
            scales, opacities, colors = apply_appearance(self.binding, *given)
        return Posed(means, quats, scales, opacities, colors)

    def drawn(self, frame: int) -> Posed:
        """The same as its camera sees them best: lifted, so that the order of those in a surface stays."""
        posed = self.frame(frame)
        if self._lifts is None:
            return posed
        viewmat = self.compute.tensor(self.cameras.viewmats[frame])
        flat = self.cameras.camera_type == "orthographic"
        means, scales = nearer(posed.means, posed.scales, self._lifts, viewmat, flat)
        return posed._replace(means=means, scales=scales)

    @cached_property
    def _around(self) -> tuple[Tensor, float] | None:
        """What `SurfaceBinding.narrow` needs to know of the mesh, of which the faces beyond edges on the device."""
        own = self.avatar.binding
        if own.rest_bends is None or own.rest_shapes is None:
            return None
        return self.compute.integers(neighbours_of(own.faces.numpy())), outmost(own.rest_shapes)

    @cached_property
    def _lifts(self) -> Tensor | None:
        return None if self.avatar.lifts is None else self.compute.tensor(self.avatar.lifts)

    @property
    def keeps_scales(self) -> bool:
        """Whether Gaussians are of the same size in all frames."""
        return self.sizes is None and self.appearance is None and self.binding.rest_shapes is None

    @cached_property
    def _plain_scales(self) -> Tensor:
        return self.compute.tensor(self.avatar.scales)

    def all(self) -> GaussianFrames:
        """All frames at once as arrays, as they are drawn: for a few."""
        shown = [[to_numpy(part) for part in self.drawn(t)] for t in range(self.frames)]
        means, quats, scales, opacities, colors = (np.stack(parts) for parts in zip(*shown, strict=True))
        if self.appearance is None:
            opacities = self.avatar.opacities
            if self.keeps_scales and self._lifts is None:
                scales = np.broadcast_to(self.avatar.scales, scales.shape)
        return GaussianFrames(means, quats, scales, opacities, colors)


def pose_avatar(
    avatar: Avatar,
    vertices: np.ndarray,
    lighting: Lighting,
    cameras: CameraPath,
    appearance: np.ndarray | None = None,
) -> GaussianFrames:
    """Posed, lit Gaussians of a few frames as arrays; arguments and errors as of `PosedAvatar`."""
    return PosedAvatar(avatar, vertices, lighting, cameras, appearance).all()
