"""The problem as tensors, cut down to what can change: open vertices, their Gaussians, the picture around them.

Most of a character is skin that never moves in refinement. Its Gaussians are posed once per frame; only
those on faces with an open vertex are posed again in every step, and only the window of the picture
where the garment is seen, or may swing to, is drawn. Geometry is kept once for all views.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..avatar.appearance import apply_appearance
from ..avatar.binding import SurfaceBinding
from ..avatar.lifts import nearer
from ..fields.hexplane import displace
from ..mesh.topology import edges_of
from ..rendering import rasterize
from ..rendering.draw import BLUR
from .body import Body, build_body
from .losses import edge_lengths
from .problem import RefinementProblem
from .scene_view import FitView, build_view

FREE_STRETCH = 0.02  # share by which woven cloth stretches without cost
FREE_SHORTENING = 0.06  # share by which folds finer than an edge may shorten it


@dataclass(frozen=True)
class FitScene:
    """Tensors for the optimiser; P open vertices, A active ones (the open first, then their neighbours).

    Attributes:
        points, gates: (P,3) bind pose and (P,) of the open vertices.
        open_ids: (P,) their indices in the whole mesh.
        coarse, unstrained: (T,A,3) world metres, what is moved and what strain is measured against.
        rotations: (T,P,3,3) bone-local to world.
        edges: (E,2) active edges with an open end; shortest, longest: (T,E) metres, see `losses.stretch`.
        half_edges: (D,2) directed edges that start at open vertices.
        binding: of the moving Gaussians on the active faces.
        static_means, static_quats: (T,S,3|4) of the static Gaussians, which never move.
        scales (N,3) or (T,N,3), opacities (N,): the S static Gaussians first.
        lifts: (N,) of them, metres, or None.
        background: (3,) sRGB.
        views: what is seen and compared; their colours have the same order of Gaussians.
        body: what the open vertices stay out of, or None.
        proposed: (T,P,3) world offsets in metres, or None.
        appearance: (T,P,5) of the open vertices before any offset, or None for 0.
    """

    points: Tensor
    gates: Tensor
    open_ids: Tensor
    coarse: Tensor
    unstrained: Tensor
    rotations: Tensor
    edges: Tensor
    shortest: Tensor
    longest: Tensor
    half_edges: Tensor
    binding: SurfaceBinding
    static_means: Tensor
    static_quats: Tensor
    scales: Tensor
    opacities: Tensor
    lifts: Tensor | None
    background: Tensor
    views: tuple[FitView, ...]
    body: Body | None
    proposed: Tensor | None
    appearance: Tensor | None

    def to(self, device: str) -> FitScene:
        """The same on a device; the body is where it was made."""
        moved: dict[str, Any] = {"binding": self.binding.to(device), "views": tuple(v.to(device) for v in self.views)}
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                moved[name] = value.to(device)
        return replace(self, **moved)

    @property
    def frames(self) -> int:
        return len(self.coarse)

    @property
    def seen(self) -> tuple[tuple[int, int], ...]:
        """Pairs of view and frame where anything can be compared, view by view."""
        return tuple((number, frame) for number, view in enumerate(self.views) for frame in view.seen)

    def time(self, frame: int) -> float:
        """Time of a frame index for the field: 0 first, 1 last."""
        return frame / max(self.frames - 1, 1)

    def active_vertices(self, frame: int, offsets: Tensor) -> Tensor:
        """Active vertices (A,3) in world metres with bone-local `offsets` (P,3) of the open ones."""
        count = len(self.points)
        moved = displace(self.coarse[frame, :count], self.rotations[frame], offsets)
        return torch.cat([moved, self.coarse[frame, count:]])

    def open_appearance(self, frame: int, offsets: Tensor | None) -> Tensor | None:
        """Appearance (P,5) of the open vertices with `offsets` (P,5); None where there is neither."""
        before = None if self.appearance is None else self.appearance[frame]
        return before if offsets is None else offsets if before is None else before + offsets

    def draw(self, view: int, frame: int, active: Tensor, appearance: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The window of a view's frame with `active` vertices (A,3), the open ones with `appearance` (P,5).

        Returns:
            Colours (1,3,h,w) sRGB and alpha (1,1,h,w).
        """
        means, quats = self.binding.pose(active)
        seen = self.views[view]
        scales, opacities = self.scales if self.scales.ndim == 2 else self.scales[frame], self.opacities
        colors = seen.colors(frame)
        static = self.static_means.shape[1]
        if self.binding.rest_shapes is not None and self.scales.ndim == 2:
            quats, stretched = self.binding.stretch(active, quats, scales[static:])
            scales = torch.cat([scales[:static], stretched])
        if appearance is not None:
            around = appearance.new_zeros(len(active) - len(appearance), appearance.shape[1])
            given = scales[static:], opacities[static:], colors[static:]
            changed = apply_appearance(self.binding, torch.cat([appearance, around]), *given)
            scales, opacities, colors = (
                torch.cat([whole[:static], part])
                for whole, part in zip((scales, opacities, colors), changed, strict=True)
            )
        means = torch.cat([self.static_means[frame], means])
        if self.lifts is not None:
            means, scales = nearer(means, scales, self.lifts, seen.viewmats[frame], seen.ortho)
        channels, alphas, _ = rasterize(
            means,
            torch.cat([self.static_quats[frame], quats]),
            scales,
            opacities,
            colors,
            seen.viewmats[frame][None],
            seen.intrinsics(frame)[None],
            width=seen.windows[frame].width,
            height=seen.windows[frame].height,
            backgrounds=self.background[None],
            eps2d=BLUR,
            camera_model="ortho" if seen.ortho else "pinhole",
        )
        return channels.permute(0, 3, 1, 2), alphas.permute(0, 3, 1, 2)


def build_scene(
    problem: RefinementProblem, margin: int, check_cancelled: Callable[[], None] = lambda: None
) -> FitScene:
    """Tensors of `problem` on its device; `margin` pixels around each garment mask are compared too.

    `check_cancelled` is called between pieces of the work and may raise, to stop.
    """
    check_cancelled()
    faces = problem.faces.astype(np.int64)
    is_open = problem.gates > 0
    open_ids = np.flatnonzero(is_open)
    active_faces = np.flatnonzero(is_open[faces].any(1))
    around = np.setdiff1d(np.unique(faces[active_faces]), open_ids)
    active_ids = np.concatenate([open_ids, around])
    place = np.full(len(is_open), -1)
    place[active_ids] = np.arange(len(active_ids))
    local_faces = place[faces[active_faces]]

    edges = edges_of(local_faces)
    edges = edges[(edges < len(open_ids)).any(1)]
    both_ways = np.concatenate([edges, edges[:, ::-1]])
    half_edges = both_ways[both_ways[:, 0] < len(open_ids)]

    coarse = _tensor(problem.coarse_vertices)
    active = coarse[:, active_ids]
    unstrained = active if problem.unstrained is None else _tensor(problem.unstrained[:, active_ids])
    now = edge_lengths(unstrained, torch.from_numpy(edges))
    bind = edge_lengths(_tensor(problem.bind_vertices)[active_ids], torch.from_numpy(edges))

    moving = np.isin(problem.binding.triangle_ids.numpy(), active_faces)
    order = np.concatenate([np.flatnonzero(~moving), np.flatnonzero(moving)])
    face_place = np.full(len(faces), -1)
    face_place[active_faces] = np.arange(len(active_faces))
    static = problem.binding.chosen(torch.from_numpy(~moving))
    poses = []
    for vertices in coarse:
        check_cancelled()
        poses.append(static.pose(vertices))
    moves = problem.binding.chosen(torch.from_numpy(moving))

    found = FitScene(
        points=_tensor(problem.bind_vertices)[open_ids],
        gates=_tensor(problem.gates)[open_ids],
        open_ids=torch.from_numpy(open_ids),
        coarse=active,
        unstrained=unstrained,
        rotations=_tensor(problem.blended_rotations[:, open_ids]),
        edges=torch.from_numpy(edges),
        shortest=torch.minimum(now, bind) * (1 - FREE_SHORTENING),
        longest=torch.maximum(now, bind) * (1 + FREE_STRETCH),
        half_edges=torch.from_numpy(np.ascontiguousarray(half_edges)),
        binding=SurfaceBinding(
            torch.from_numpy(local_faces),
            torch.from_numpy(face_place[moves.triangle_ids.numpy()]),
            moves.barycentrics,
            moves.local_quats,
            moves.offsets,
            None if moves.rest_shapes is None else moves.rest_shapes[torch.from_numpy(active_faces)],
        ),
        static_means=torch.stack([means for means, _ in poses]),
        static_quats=torch.stack([quats for _, quats in poses]),
        scales=_tensor(problem.scales)[..., order, :],
        opacities=_tensor(problem.opacities)[order],
        lifts=_optional(problem.lifts, (order,)),
        background=_tensor(problem.background),
        views=tuple(build_view(view, margin, order, check_cancelled) for view in problem.views),
        body=build_body(problem, check_cancelled, problem.compute),
        proposed=_optional(problem.vertex_targets, (slice(None), open_ids)),
        appearance=_optional(problem.appearance, (slice(None), open_ids)),
    )
    return found.to(problem.compute.device)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def _optional(array: np.ndarray | None, pick: tuple) -> Tensor | None:
    return None if array is None else _tensor(array[pick])
