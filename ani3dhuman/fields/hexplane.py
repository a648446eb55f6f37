"""The residual layer: a small space-time field that adds motion which skeleton and cloth solver lack.

A HexPlane (Cao and Johnson, CVPR 2023, section 3): each of three pairs multiplies a plane over two space
axes with a plane over the third axis and time; the products of all pairs and resolutions are decoded to
an offset. Offsets live in the bone-local frame, so a skirt that turns with the hips keeps its offset.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError

# the space axes of each pair's first plane, and the axis its second plane shares with time
SPACE_AXES = ((0, 1), (0, 2), (1, 2))
TIME_AXES = (2, 1, 0)
SCHEMA = "ani3dhuman.residual"
MAX_CYCLES = 2.0  # waves across a plane at the start


@dataclass(frozen=True)
class FieldConfig:
    """Size of a field.

    Attributes:
        resolutions: cells along each space axis, one entry per level.
        time_resolution: cells along time, the same at every level; fewer than frames means smoother motion.
        channels: features per plane.
        hidden: width of the decoder.
        reach: metres of offset per unit of decoder output; sets the size of an optimiser's step.
        plane_rate, decoder_rate: learning rates for Adam.
    """

    resolutions: tuple[int, ...] = (8, 20, 48)
    time_resolution: int = 24
    channels: int = 8
    hidden: int = 48
    reach: float = 0.05
    plane_rate: float = 1e-2
    decoder_rate: float = 5e-3


class ResidualField(nn.Module):
    """Offsets over bind-pose space and time; exactly zero until trained.

    Args:
        low, high: (3,) corners of the bind-pose box the field covers, metres; outside, its border continues.
        config: its size.
        seed: of the initial features.
        outputs: numbers of an offset: 3 of motion, or others of a like size.
    """

    def __init__(
        self, low: Tensor, high: Tensor, config: FieldConfig | None = None, seed: int = 0, outputs: int = 3
    ) -> None:
        super().__init__()
        self.config = config = config or FieldConfig()
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("low", low.detach().clone().float())
        self.register_buffer("high", high.detach().clone().float())
        random = torch.Generator().manual_seed(seed)
        channels, moments = config.channels, config.time_resolution
        self.space_planes = nn.ParameterList(
            torch.stack([_waves(channels, cells, cells, random) for _ in range(3)]) for cells in config.resolutions
        )
        self.time_planes = nn.ParameterList(
            torch.stack([_waves(channels, moments, cells, random) for _ in range(3)]) for cells in config.resolutions
        )
        features = 3 * channels * len(config.resolutions)
        first, last = nn.Linear(features, config.hidden), nn.Linear(config.hidden, outputs)
        self.decoder = nn.Sequential(first, nn.ReLU(), last)
        with torch.no_grad():
            bound = features**-0.5
            first.weight.uniform_(-bound, bound, generator=random)
            first.bias.zero_()
            last.weight.zero_()
            last.bias.zero_()

    def forward(self, points: Tensor, times: Tensor | float, gates: Tensor | None = None) -> Tensor:
        """Offsets of `points` at one time or many.

        Args:
            points: (P,3) bind pose, world metres.
            times: a number, or (T,); 0 is the first frame of the clip and 1 the last.
            gates: (P,) 0..1, how much of the offset each point takes; 0 gives exactly 0. None means 1.

        Returns:
            (P,3) for one time, (T,P,3) for many: metres in the bone-local frame. With other than 3 `outputs`, so many
            numbers a point.
        """
        moments = torch.as_tensor(times, dtype=points.dtype, device=points.device)
        unit = (points - self.low) / (self.high - self.low)
        features = torch.cat(
            [
                self._products(space, time, unit, moments.reshape(-1))
                for space, time in zip(self.space_planes, self.time_planes, strict=True)
            ],
            -1,
        )
        offsets = self.config.reach * self.decoder(features)
        if gates is not None:
            offsets = offsets * gates[:, None]
        return offsets if moments.ndim else offsets[0]

    def _products(self, space: Tensor, time: Tensor, unit: Tensor, moments: Tensor) -> Tensor:
        """Features (T,P,3C) of one level for `unit` points (P,3) in 0..1 and `moments` (T,) in 0..1.

        A clip asks for many times of the same points: the space planes are read once, and a time plane
        is first blended to one line per moment, which leaves a matrix product per axis.
        """
        grid = torch.stack([unit[:, first : last + 1 : last - first] for first, last in SPACE_AXES])[:, :, None] * 2 - 1
        still = functional.grid_sample(space, grid, padding_mode="border", align_corners=True)[..., 0]
        lines = torch.einsum("tk,ackr->atrc", hat_weights(moments, time.shape[2]), time)
        along = torch.stack([hat_weights(unit[:, axis], time.shape[3]) for axis in TIME_AXES])
        moving = torch.einsum("apr,atrc->tpac", along, lines)
        return (still.permute(2, 0, 1) * moving).flatten(2)

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters with their learning rates: planes, then decoder."""
        planes = [*self.space_planes, *self.time_planes]
        return [(planes, self.config.plane_rate), (list(self.decoder.parameters()), self.config.decoder_rate)]

    def roughness(self) -> Tensor:
        """Sum of `plane_variation` over all levels; no unit."""
        levels = zip(self.space_planes, self.time_planes, strict=True)
        return torch.stack([plane_variation(space, time) for space, time in levels]).sum()

    def save(self, path: Path) -> None:
        """Write the field to a safetensors file, atomically. Raises `Ani3DError` ``disk.full``."""
        header = {"schema": SCHEMA, "config": json.dumps(asdict(self.config))}
        state = {name: value.contiguous() for name, value in self.state_dict().items()}
        write_bytes(Path(path), safetensors.torch.save(state, header))

    @classmethod
    def load(cls, path: Path) -> ResidualField:
        """Read what `save` wrote. Raises `Ani3DError` ``residual.malformed``."""
        try:
            with safetensors.safe_open(str(path), "pt") as file:
                header = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            if header.get("schema") != SCHEMA:
                raise ValueError(f"its schema is {header.get('schema')!r}")
            values = json.loads(header["config"])
            values["resolutions"] = tuple(values["resolutions"])
            outputs = len(state["decoder.2.bias"])
            field = cls(state["low"], state["high"], FieldConfig(**values), outputs=outputs)
            field.load_state_dict(state)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
            raise Ani3DError(
                "residual.malformed",
                f"{path} is not a residual field of this version ({error}).",
                "Run the refinement again.",
            ) from error
        return field


def _waves(channels: int, rows: int, columns: int, random: torch.Generator) -> Tensor:
    """A plane (channels, rows, columns) of plane waves of random direction, phase and length around zero mean.

    Smooth features at the start let the decoder find broad swings within a few steps, where white noise would
    have to be smoothed first and constant planes would have to learn to differ.
    """
    cycles = torch.tensor([rows, columns]) / 8
    frequency = (torch.rand(channels, 2, generator=random) * 2 - 1) * cycles.clamp(max=MAX_CYCLES)
    phase = torch.rand(channels, 1, 1, generator=random)
    along, across = torch.linspace(0, 1, rows)[:, None], torch.linspace(0, 1, columns)
    waves = frequency[:, 0, None, None] * along + frequency[:, 1, None, None] * across + phase
    return torch.sin(2 * torch.pi * waves)


def hat_weights(positions: Tensor, cells: int) -> Tensor:
    """Weights (P,cells) of linear interpolation at `positions` (P,) in 0..1 over nodes evenly from 0 to 1.

    Rows sum to 1; positions outside take the nearest end. Dense on purpose: cells are few and a matrix
    product is faster, and the same on every run, where a gather's backward adds in any order.
    """
    scaled = positions.clamp(0, 1)[:, None] * (cells - 1)
    return (1 - (scaled - torch.arange(cells, dtype=positions.dtype, device=positions.device)).abs()).clamp(min=0)


def plane_variation(space: Tensor, time: Tensor) -> Tensor:
    """Roughness of one HexPlane level: squared steps along space, squared bends along time.

    Args:
        space: (3,C,R,R) planes over two space axes.
        time: (3,C,K,R) planes over time (K) and one space axis; motion at even pace costs nothing.
    """
    steps = [space.diff(dim=2), space.diff(dim=3), time.diff(dim=3), time.diff(n=2, dim=2)]
    return torch.stack([step.square().mean() for step in steps]).sum()


def displace(coarse: Tensor, rotations: Tensor, offsets: Tensor) -> Tensor:
    """Add bone-local `offsets` (...,P,3) to `coarse` (...,P,3) world positions by `rotations` (...,P,3,3)."""
    return coarse + (rotations * offsets[..., None, :]).sum(-1)  # products of small matrices take longer
