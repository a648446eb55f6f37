"""A residual field of trajectories: every vertex moves along its own few cosines over the clip.

Trajectories in a truncated cosine basis are those of Akhter, Sheikh, Khan, Kanade, "Trajectory Space" (2011). Vertices
left alone would each follow the noise of their own pixels, so the unknowns are not the trajectories x but
u = (I + s L) x with the mesh Laplacian L, as in Nicolet, Jacobson, Jakob, "Large Steps in Inverse Rendering" (2021):
a step in u moves a neighbourhood of chosen width alike, and every x can still be reached. One width is too wide for
folds or too narrow for the swing, so a field is the sum of parts of several widths, which are learnt together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array, csc_array, diags_array, eye_array
from scipy.sparse.linalg import SuperLU, splu
from scipy.spatial import cKDTree
from torch import Tensor, nn

from ani3d_formats.errors import Ani3DError

FRAMES_PER_MODE = 4  # so that long clips are no stiffer than short ones
REFERENCE_MODES = 12  # the number that the learning rate was chosen with
SEAM_TOLERANCE = 1e-6  # metres within which vertices are one place
MARGIN = 0.8  # half waves of the fastest cosine left before and after the clip
LARGEST_INVERSE = 12_000  # points; its square takes 600 MB for each spread
SEAM_WEIGHT = 1e6  # Laplacian weight between vertices of one place; that of an edge is seldom above 100


@dataclass(frozen=True)
class DctConfig:
    """Size of a trajectory field.

    Attributes:
        modes: cosines over the clip, the constant one included; no more than frames are used. None takes one for every
            `FRAMES_PER_MODE` frames, 4 at least.
        spreads: metres over which a gradient at one vertex decays to about a third, for each part of the field; 0
            leaves vertices free.
        reach: metres of offset per unit of coefficient; sets the size of an optimiser's step.
        rate: learning rate for Adam; with more than `REFERENCE_MODES` cosines, whose steps add up, smaller in
            proportion.
    """

    modes: int | None = None
    spreads: tuple[float, ...] = (0.02, 0.1, 0.4)
    reach: float = 0.05
    rate: float = 8e-3


class DctField(nn.Module):
    """Offsets of given points over time; exactly zero until trained. State: ``coefficients`` (K,S,C,P), S spreads.

    Args:
        points: (P,3) bind pose, world metres; the only ones the field knows.
        edges: (E,2) neighbours among them; points at the same place, as along a seam, move as one.
        frames: of the clip.
        config: its size.
        channels: C numbers of an offset: 3 of motion, in metres, or any others of a like size.

    Raises:
        Ani3DError: ``field.points``, ``field.edges`` or ``field.config`` for values it cannot be made of.
    """

    def __init__(
        self, points: Tensor, edges: Tensor, frames: int, config: DctConfig | None = None, channels: int = 3
    ) -> None:
        super().__init__()
        self.config = config = config or DctConfig()
        check_points(points)
        modes = max(frames // FRAMES_PER_MODE, 4) if config.modes is None else config.modes
        widths = config.spreads
        if not widths or min(widths) < 0 or min(modes, frames) < 1 or min(config.reach, config.rate) <= 0:
            raise config_error(f"{config} for {frames} frames")
        self.points: Tensor
        self.register_buffer("points", points.detach().clone().float(), persistent=False)
        size = (min(modes, frames), len(config.spreads), channels, len(points))  # as solves want them
        self.coefficients = nn.Parameter(torch.zeros(size))
        self.smoothers = [_smoother(points, edges, spread) for spread in config.spreads]
        self._inverses: dict[tuple[int, str], Tensor] = {}

    def forward(self, points: Tensor, times: Tensor | float, gates: Tensor | None = None) -> Tensor:
        """Offsets as of `residual.ResidualField.forward`.

        Raises:
            Ani3DError: ``field.points`` when `points` are not those the field was made for.
        """
        check_same_points(points, self.points)
        moments = torch.as_tensor(times, dtype=points.dtype, device=points.device)
        waves = cosines(moments.reshape(-1), len(self.coefficients))
        rough = (waves @ self.coefficients.flatten(1)).unflatten(1, self.coefficients.shape[1:])
        parts = [self._smoothed(part, number) for number, part in enumerate(rough.unbind(1))]
        offsets = (self.config.reach * torch.stack(parts).sum(0)).transpose(1, 2)
        if gates is not None:
            offsets = offsets * gates[:, None]
        return offsets if moments.ndim else offsets[0]

    def _smoothed(self, rough: Tensor, number: int) -> Tensor:
        """x of (I + s L) x = u, both (T,C,P): by a solve on the CPU, elsewhere by the inverse, where that has room."""
        if rough.device.type == "cpu" or rough.shape[-1] > LARGEST_INVERSE:
            return _Smooth.apply(rough, self.smoothers[number])
        key = (number, str(rough.device))
        if key not in self._inverses:
            inverse = self.smoothers[number].solve(np.eye(rough.shape[-1]))
            self._inverses[key] = torch.from_numpy(inverse.astype(np.float32)).to(rough.device)
        return rough @ self._inverses[key]

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters with their learning rates."""
        factor = min(1.0, REFERENCE_MODES / len(self.coefficients))
        return [([self.coefficients], factor * self.config.rate)]

    def roughness(self) -> Tensor:
        """Frequency-weighted mean square of the coefficients, 0 at rest. No unit."""
        waves = torch.arange(len(self.coefficients)).to(self.coefficients)
        squares = self.coefficients.flatten(1).square().sum(1)
        return (squares * waves.square()).sum() / self.coefficients.numel()


class _Smooth(torch.autograd.Function):
    """x of (I + s L) x = u, both (T,C,P). The matrix is symmetric, so the same solve carries gradients back."""

    @staticmethod
    def forward(ctx: Any, rough: Tensor, smoother: SuperLU) -> Tensor:
        ctx.smoother = smoother
        return _solve(smoother, rough)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _solve(ctx.smoother, gradients[0]), None


def _solve(smoother: SuperLU, values: Tensor) -> Tensor:
    flat = values.detach().cpu().flatten(0, -2)
    solved = smoother.solve(flat.numpy().astype(np.float64).T)  # columns, as they lie
    return torch.from_numpy(solved.T.astype(np.float32)).view(values.shape).to(values)


def _smoother(points: Tensor, edges: Tensor, spread: float) -> SuperLU:
    """Factors of I + s L for the graph of `edges`, scaled so that L is the Laplacian of the surface in metres."""
    count, pairs, places = len(points), edges.cpu().numpy().astype(np.int64), points.detach().cpu().double().numpy()
    if pairs.ndim != 2 or pairs.shape[1] != 2 or (len(pairs) and not 0 <= pairs.min() <= pairs.max() < count):
        raise Ani3DError(
            "field.edges",
            f"Edges of shape {pairs.shape} do not join {count} points.",
            "Give pairs (E,2) of indices into the points.",
        )
    lengths = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1)
    pairs, lengths = pairs[lengths > SEAM_TOLERANCE], lengths[lengths > SEAM_TOLERANCE]
    # n neighbours at distance h around a point in a surface sum their differences to n h^2 / 4 of its Laplacian
    neighbours = 2 * len(pairs) / count
    share = 4 * spread**2 / (neighbours * float((lengths**2).mean())) if len(pairs) else 0.0
    seams = cKDTree(places).query_pairs(SEAM_TOLERANCE, output_type="ndarray")
    weights = np.repeat([share, SEAM_WEIGHT], [len(pairs), len(seams)])
    a, b = np.concatenate([pairs, seams]).T
    joined = coo_array((np.tile(weights, 2), (np.r_[a, b], np.r_[b, a])), shape=(count, count))
    matrix = csc_array(eye_array(count) + diags_array(joined.sum(1)) - joined)
    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})


def cosines(moments: Tensor, modes: int) -> Tensor:
    """(T,modes) values of cos(pi k u), k from 0, at `moments` (T,) in 0..1.

    Every cosine rests at u = 0 and 1. So that motion need not, the clip fills only the middle of that span and leaves
    almost half a wave of the fastest cosine at either end.
    """
    margin = MARGIN / max(modes, 8)
    waves = torch.arange(modes, dtype=moments.dtype, device=moments.device)
    return torch.cos(torch.pi * (margin + moments[:, None] * (1 - 2 * margin)) * waves)


def check_points(points: Tensor) -> None:
    """Raise ``field.points`` unless `points` are one or more finite places (P,3)."""
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0 or not bool(torch.isfinite(points).all()):
        raise Ani3DError(
            "field.points",
            f"A field cannot be made for points of shape {tuple(points.shape)} or for numbers that are not finite.",
            "Give finite bind-pose points (P,3).",
        )


def check_same_points(points: Tensor, known: Tensor) -> None:
    """Raise ``field.points`` unless `points` are the `known` ones."""
    if points.shape != known.shape or not torch.equal(points, known):
        raise Ani3DError(
            "field.points",
            f"This field was made for {len(known)} other points than the {len(points)} it is asked for.",
            "Ask it for the open vertices it was made for, and bind anything else to their faces.",
        )


def config_error(what: str) -> Ani3DError:
    """The error ``field.config`` for a size that makes no field."""
    return Ani3DError("field.config", f"A field cannot have the size {what}.", "Give positive sizes and rates.")
