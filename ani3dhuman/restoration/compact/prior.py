"""The prior that ships: it samples how cloth and hair differ from their coarse motion, as screen-space offset maps.

Latents are per-cell offsets of the visible cloth from the rigid layer, small and smooth; z_init is where the coarse
layer has it, 0 for a rigid one. The restored clip is the coarse avatar (or the sound layer that the clip names instead)
moved by the difference to the sample, and drawn again: crisp at any size, with folds finer than a cell and the far side
kept, and skin and face cannot change.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ...clip import CoarseClip, RestoredClip
from ...cloth.limits import limit_offsets
from ...device import to_numpy
from ..prior import EncodedClip
from .feature_maps import CHANNELS, SurfaceMaps, surface_maps
from .lifting import lift_offsets, visibility
from .network import DisplacementNet
from .noise import colour
from .swing import keep_swing

if TYPE_CHECKING:
    from ..loading import Plans, PriorRequest

DEPENDS_ON = ()  # of what a job may choose for a prior: it looks at meshes alone
READS_PICTURES = False
WEIGHTS = Path(__file__).parents[2] / "assets" / "compact_prior"
PHYSICS_AMOUNT = 0.25  # chosen on validation clips, docs/notes/compact_prior_figures.md
RIGID_DISTANCE = 0.01  # metres (RMS) between moved and rigid layer from which on the moved one counts as simulated
MIN_COVERAGE = 0.02  # coverage below which a cell counts as free of cloth


@dataclass(frozen=True)
class Encoded:
    """What decoding needs again: the maps, and the latents (T,3,h,w) of the layer that is moved."""

    maps: SurfaceMaps
    base: torch.Tensor


class CompactPrior:
    """`VideoPrior` over displacement maps.

    Args:
        net: the network, in eval mode.
        amount: share of the sampled change that is applied; None chooses by what the coarse layer is, see `amount_for`.
        device: of the network; what it is given and returns stays where it is.
    """

    def __init__(self, net: DisplacementNet, amount: float | None = None, device: str = "cpu") -> None:
        if amount is not None and not 0.0 <= amount <= 1.0:
            raise Ani3DError("restoration.amount", f"Amount {amount} is not in [0, 1].", "Use 1 to apply all of it.")
        # channels last is ten times faster on two threads
        self.net = net.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.amount, self.device = amount, device

    @property
    def window(self) -> int:
        return int(self.net.config["window"])

    def encode(self, clip: CoarseClip, progress: Progress | None = None) -> EncodedClip:
        """Latents (T,3,h,w) of the coarse layer, preserved but for free cloth, conditions (T,K,h,w)."""
        layers = [clip.vertices] if clip.base is None else [clip.vertices, clip.base]
        moved = [vertices for vertices in layers if vertices is not clip.rigid_vertices]
        maps = surface_maps(clip, tuple(self.net.config["grid"]), moved)
        if maps.conditions.shape[1] != self.net.config["condition_channels"]:
            raise Ani3DError(
                "restoration.prior_version",
                f"The prior wants {self.net.config['condition_channels']} channels, this version makes {CHANNELS}.",
                "Use the prior that ships with this version.",
            )
        preserve = torch.from_numpy(preserve_mask(maps))
        offsets, still = iter(maps.offsets), torch.zeros(clip.frames, 3, *maps.coverage.shape[2:])
        latents, *beneath = (
            still if vertices is clip.rigid_vertices else self._latents(maps, next(offsets)) for vertices in layers
        )
        base = beneath[0] if beneath else latents
        conditions = torch.from_numpy(maps.conditions)
        key = self._key(latents.numpy(), base.numpy(), maps.conditions)
        return EncodedClip(latents, preserve, conditions, Encoded(maps, base), key=key)

    def _latents(self, maps: SurfaceMaps, offsets: np.ndarray) -> torch.Tensor:
        """(T,3,h,w) of a layer's offsets (T,3,h,w), metres."""
        scaled = offsets / self.net.config["offset_scale"]
        return torch.from_numpy(np.where(maps.coverage < MIN_COVERAGE, 0, scaled))

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        return colour(white)

    @torch.no_grad()
    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        """(z - x0) / sigma, x0 being 0 exactly where no cloth is seen."""
        level = torch.full((1,), sigma, device=self.device)
        clean = self.net(latents[None].to(self.device), level, conditions[None].to(self.device))[0].to(latents.device)
        return (latents - clean * cloth_mask(conditions)) / sigma

    def decode(
        self, clip: CoarseClip, encoded: EncodedClip, latents: torch.Tensor, progress: Progress | None = None
    ) -> RestoredClip:
        """Move the mesh by the offsets, within what cloth can do; pictures of it are drawn when they are asked for."""
        maps, moving = encoded.context.maps, replace(clip, vertices=clip.base_layer, base=None)
        vertices = self.moved_vertices(clip, encoded, latents)
        frames, alphas = clip.rendered(vertices)
        if progress:
            progress.advance(clip.frames)
        free = clip.freedom > 0.5
        size = np.linalg.norm(vertices[:, free] - clip.base_layer[:, free], axis=-1)
        report = {
            "amount": round(self.share(clip), 3),
            "offset_mean_cm": round(float(100 * size.mean()), 3) if size.size else 0.0,
            "offset_p99_cm": round(float(100 * np.percentile(size, 99)), 3) if size.size else 0.0,
        }
        return RestoredClip(frames, alphas, vertices, report, visibility(moving, maps))

    def share(self, clip: CoarseClip) -> float:
        """Fraction of the sampled change that is applied, 0..1."""
        return amount_for(clip) if self.amount is None else self.amount

    def moved_vertices(self, clip: CoarseClip, encoded: EncodedClip, latents: torch.Tensor) -> np.ndarray:
        """(T,V,3) world metres: `clip.base_layer` with the sampled latents (T,3,h,w), within what cloth can do."""
        known: Encoded = encoded.context
        metres = (latents - known.base).numpy() * (self.share(clip) * self.net.config["offset_scale"])
        moving = replace(clip, vertices=clip.base_layer, base=None)
        offsets = lift_offsets(moving, known.maps, metres)
        if not np.array_equal(moving.vertices, moving.rigid_vertices):  # a rigid layer has no swing to be kept
            offsets = keep_swing(moving, offsets)
        vertices = limit_offsets(moving, offsets)
        vertices += moving.vertices
        return vertices

    def _key(self, *arrays: np.ndarray) -> str:
        digest = hashlib.sha256(repr(self.amount).encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        for weight in self.net.parameters():
            digest.update(to_numpy(weight).tobytes())
        return digest.hexdigest()


def preserve_mask(maps: SurfaceMaps) -> np.ndarray:
    """(T,1,h,w) float32 1 where nothing may move .. 0: no cloth is seen, or cloth that is pinned to the body."""
    coverage = maps.coverage
    freedom = maps.conditions[:, 3:4] / np.maximum(coverage, MIN_COVERAGE)
    return np.where(coverage < MIN_COVERAGE, 1, 1 - np.clip(freedom, 0, 1)).astype(np.float32)


def cloth_mask(conditions: torch.Tensor) -> torch.Tensor:
    """(...,1,h,w) 1 where conditions (...,K,h,w) show garment or hair."""
    return (conditions[..., :2, :, :].sum(-3, keepdim=True) >= MIN_COVERAGE).to(conditions.dtype)


def amount_for(clip: CoarseClip) -> float:
    """Fraction of the predicted offset to apply: 1 over a rigid layer, `PHYSICS_AMOUNT` where physics moved the cloth.

    Chosen on validation clips: the simulation is nearer to true cloth than the network's prediction without it, and a
    quarter of the predicted offset brings it nearer again.
    """
    free = clip.freedom > 0.5
    if not free.any():
        return 1.0
    gap = clip.base_layer[:, free] - clip.rigid_vertices[:, free]
    swing = float(np.sqrt((gap**2).sum(-1).mean()))
    return float(PHYSICS_AMOUNT + (1 - PHYSICS_AMOUNT) * np.exp(-((swing / RIGID_DISTANCE) ** 2)))


def load_compact_prior(folder: Path = WEIGHTS, amount: float | None = None, device: str = "cpu") -> CompactPrior:
    """The shipped prior, or one that training wrote to `folder`; `amount` and `device` as of `CompactPrior`."""
    if not (Path(folder) / "config.json").is_file():
        raise Ani3DError(
            "restoration.no_prior",
            f"There is no compact prior in {folder}.",
            "Install the package with its data files, or train one (docs/training.md).",
        )
    try:
        net = DisplacementNet.from_pretrained(folder)
    except Exception as error:  # JSON, safetensors and torch have many ways to fail on bytes that changed
        raise Ani3DError(
            "restoration.no_prior",
            f"The compact prior in {folder} cannot be read.",
            "Install the package again, or choose a folder that training wrote.",
        ) from error
    return CompactPrior(net, amount, device)


def prepare(request: PriorRequest) -> Plans:
    """The one way to load the compact prior. Raises ``models.memory`` after it: nothing is leaner."""
    yield lambda: load_compact_prior(request.found.folder, device=request.clip.compute.networks)
    raise Ani3DError(
        "models.memory", "The compact prior ran out of memory.", "Close other programs, or take a smaller picture."
    )
