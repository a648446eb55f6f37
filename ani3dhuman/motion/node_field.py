"""A residual field of control nodes: a few hundred small rigid motions, blended over the points between them.

Nodes and weights are those of `control_nodes` (after Sumner, Schmid, Pauly, "Embedded Deformation", 2007); sparse nodes
for moving Gaussians are due to Huang et al., "SC-GS" (CVPR 2024). Each node has a shift and a turn that are sums of a
few cosines over the clip, as in `dct_field`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .control_nodes import ControlNodes
from .dct_field import bad_config, check_points, check_same_points, cosines


@dataclass(frozen=True)
class NodeConfig:
    """Size of a node field.

    Attributes:
        nodes: control nodes; no more than there are different points.
        modes: cosines over the clip, the constant one included; no more than frames are used.
        reach: metres of shift per unit of coefficient; a unit of turn is a radian.
        rate: learning rate for Adam.
    """

    nodes: int = 300
    modes: int = 12
    reach: float = 0.05
    rate: float = 2e-2


class NodeField(nn.Module):
    """Offsets of given points over time; exactly zero until trained. State: ``shifts``, ``turns`` (K,M,3).

    Args:
        points: (P,3) bind pose, world metres; the only ones the field knows.
        frames: of the clip.
        config: its size.

    Raises:
        Ani3DError: ``field.points``, ``nodes.points`` or ``field.config`` for values it cannot be made of.
    """

    def __init__(self, points: Tensor, frames: int, config: NodeConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NodeConfig()
        check_points(points)
        if config.nodes < 4 or config.modes < 1 or config.reach <= 0 or config.rate <= 0 or frames < 1:
            raise bad_config(f"{config} for {frames} frames")
        places = points.detach().cpu().double().numpy()
        nodes = ControlNodes.from_points(places, config.nodes)
        count, modes = len(nodes.rest), min(config.modes, frames)
        middle = places.mean(0)  # near the points, arms stay short and sums of large numbers are avoided
        tails, heads = nodes.edges.T
        rows = np.arange(len(places))[:, None].repeat(nodes.carriers.shape[1], 1)
        lines = np.arange(len(nodes.edges))
        ends = (np.ones(len(lines)), lines)
        self.points: Tensor
        self.arms: Tensor
        self.rest: Tensor
        self.bones: Tensor
        constants = {
            "points": points.detach().clone().float(),
            "arms": torch.from_numpy(places - middle).float(),
            "rest": torch.from_numpy(nodes.rest - middle).float(),
            "bones": torch.from_numpy(nodes.rest[heads] - nodes.rest[tails]).float(),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)
        self.blend = SparseProduct(nodes.weights, rows, nodes.carriers, (len(places), count))
        self.tails = SparseProduct(*ends, tails, (len(lines), count))
        self.heads = SparseProduct(*ends, heads, (len(lines), count))
        self.shifts = nn.Parameter(torch.zeros(modes, count, 3))
        self.turns = nn.Parameter(torch.zeros(modes, count, 3))

    def forward(self, points: Tensor, times: Tensor | float, gates: Tensor | None = None) -> Tensor:
        """Offsets as of `residual.ResidualField.forward`.

        Raises:
            Ani3DError: ``field.points`` when `points` are not those the field was made for.
        """
        check_same_points(points, self.points)
        moments = torch.as_tensor(times, dtype=points.dtype, device=points.device)
        waves = cosines(moments.reshape(-1), len(self.shifts))
        shifts = self.config.reach * torch.einsum("tk,kmc->mtc", waves, self.shifts)
        change = rotation_change(torch.einsum("tk,kmc->mtc", waves, self.turns))
        # (R - I)(x - n) + s is an affine map of x, so the nodes' maps are blended once and then applied
        constant = shifts - (change @ self.rest[:, None, :, None]).squeeze(-1)
        maps = torch.cat([change, constant[..., None]], -1)
        blended = self.blend(maps.flatten(1)).view(-1, *maps.shape[1:])
        moved = (blended[..., :3] @ self.arms[:, None, :, None]).squeeze(-1) + blended[..., 3]
        offsets = moved.transpose(0, 1)
        if gates is not None:
            offsets = offsets * gates[:, None]
        return offsets if moments.ndim else offsets[0]

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters with their learning rates."""
        return [([self.shifts, self.turns], self.config.rate)]

    def roughness(self) -> Tensor:
        """How far nodes miss the places their neighbours expect them at, as mean squared strain, wave by wave.

        The regulariser of Sumner et al. for small turns; a rigid motion of all nodes costs nothing.
        """
        count = self.shifts.shape[1]
        shifts = (self.config.reach * self.shifts).transpose(0, 1).reshape(count, -1)
        steps = self.heads(shifts) - self.tails(shifts)
        turns = self.tails(self.turns.transpose(0, 1).reshape(count, -1)).view(len(self.bones), -1, 3)
        miss = steps.view_as(turns) - torch.linalg.cross(turns, self.bones[:, None].expand_as(turns))
        return (miss / self.bones.norm(dim=-1)[:, None, None]).square().sum(-1).mean()


def rotation_change(turns: Tensor) -> Tensor:
    """R - I (...,3,3) of rotation vectors `turns` (...,3) in radians (Rodrigues); exactly 0, and smooth, at 0."""
    x, y, z = turns.unbind(-1)
    none = torch.zeros_like(x)
    cross = torch.stack([none, -z, y, z, none, -x, -y, x, none], -1).unflatten(-1, (3, 3))
    angle = (turns.square().sum(-1)[..., None, None] + 1e-12).sqrt()  # the root has no slope at 0
    whole, half = torch.sinc(angle / torch.pi), torch.sinc(angle / (2 * torch.pi))
    return whole * cross + 0.5 * half.square() * (cross @ cross)


class SparseProduct(nn.Module):
    """A fixed sparse matrix, applied to dense ones; gradients come from its transpose, so no sum is in random order.

    Args:
        values, rows, columns: entries, arrays of one shape.
        shape: of the matrix.
    """

    def __init__(self, values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> None:
        super().__init__()
        places = torch.from_numpy(np.stack([rows.ravel(), columns.ravel()]).astype(np.int64))
        numbers = torch.from_numpy(values.ravel()).float()
        self.matrix: Tensor
        matrix = torch.sparse_coo_tensor(places, numbers, shape, check_invariants=True).coalesce()
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """The matrix times `values` (columns, C)."""
        return torch.sparse.mm(self.matrix, values)
