"""How much memory a prior needs on a card, and what makes it fit.

Weights are counted, activations follow laws whose constants come from tracing diffusers' own forward passes
(docs/model_costs.md derives them; `python -m benchmarks.model_memory` measures how well they hold). What no trace on
a CPU can show, the workspace of CUDA's kernels and the allocator's gaps, is in `CONTEXT` and `SLACK`, by assumption.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from ani3d_formats.errors import Ani3DError

from ...models.find import find
from ...models.registry import Model
from ...models.shapes import PERIOD, ClipShape, VaeShape, WanShape

TIERS = (24, 16, 12, 8)  # GB of the cards that plans are named after
CONTEXT = 0.6e9  # bytes that CUDA and its libraries hold (assumed)
SLACK = 1.1  # allocator's gaps and kernels' workspace (assumed)
TEXT_TOKENS = 512
IMAGE_TOKENS = 257  # of CLIP ViT-H/14, which image-to-video networks attend to besides
TEXT_WORK = 0.3e9  # bytes of the text encoder's activations

HALF, FULL = 2, 4  # bytes of bfloat16 and float32
FEED_FORWARD = 5  # token-wide tensors alive beside the two of the feed-forward net
MODULATION = 12  # token-wide tensors (in bfloat16) alive where a block works in float32
DECODED = 12.7  # full-resolution, 4-frame, base-wide tensors alive at the peak of the VAE's decoder
ENCODED = 9.2  # the same for its encoder
TILE, TILE_STEP = 256, 192  # pixels, diffusers' defaults
VIDEO_COPIES = 5  # control video, mask and their products, in pixels, while the control is encoded


class Measure(StrEnum):
    """What saves memory. The value is what `doctor` prints.

    The text encoder runs first and is dropped in either case. float8 weights are cast to bfloat16 layer by layer;
    offloaded blocks are streamed from the host one ahead of their use.
    """

    TEXT_FIRST = "text encoder first"
    TEXT_ON_CPU = "text encoder on the CPU"
    VAE_SLICING = "VAE slicing"
    VAE_TILING = "VAE tiling"
    FP8_WEIGHTS = "float8 weights"
    GROUP_OFFLOAD = "block offload"


_LEAN = (Measure.VAE_SLICING, Measure.VAE_TILING)
LADDER: tuple[tuple[Measure, ...], ...] = (
    (),
    _LEAN,
    (*_LEAN, Measure.FP8_WEIGHTS),
    (*_LEAN, Measure.GROUP_OFFLOAD),
    (*_LEAN, Measure.GROUP_OFFLOAD, Measure.FP8_WEIGHTS),
)
"""From fast to lean. float8 costs a little quality, offloading time and host memory."""


@dataclass(frozen=True)
class MemoryPlan:
    """How a prior runs in a given memory.

    Attributes:
        model: name in the registry.
        clip: one window.
        device: "cuda" or "cpu".
        budget_gb: 1e9 bytes that may be used.
        rung: index into `LADDER`.
        measures: what to apply, the text encoder's included.
        predicted_peak_gb: by stage (text, encode, denoise, decode), context and slack included.
        host_gb: memory of the host that weights wait in.
    """

    model: str
    clip: ClipShape
    device: str
    budget_gb: float
    rung: int
    measures: tuple[Measure, ...]
    predicted_peak_gb: dict[str, float]
    host_gb: float

    @property
    def tier(self) -> str:
        """The card it is for, "24 GB", or "CPU"."""
        return f"{self.budget_gb:.0f} GB" if self.device == "cuda" else "CPU"

    @property
    def peak_gb(self) -> float:
        """The largest of all stages."""
        return max(self.predicted_peak_gb.values())

    @property
    def fits(self) -> bool:
        """Whether the prediction stays within the budget."""
        return self.peak_gb <= self.budget_gb


def denoise_bytes(shape: WanShape, clip: ClipShape, each: int = HALF) -> float:
    """Bytes of activations alive at the peak of one forward pass of the transformer, batch 1.

    A token-wide tensor is ``tokens * hidden * each`` bytes. Alive are the hint of every control block, and in the
    block at work either the two tensors of the feed-forward net and five more, or (in bfloat16) twelve where
    norms and gates work in float32. Rotary tables are float32; attention in kernels of scaled_dot_product_attention
    keeps one float32 a head and token, not tokens squared.

    Args:
        shape: of the transformer.
        clip: of one window.
        each: bytes of a number, 2 for bfloat16, 4 for float32.
    """
    tensor = clip.tokens * shape.hidden * each
    work = FEED_FORWARD + 2 * shape.ffn / shape.hidden
    if each == HALF:
        work = max(work, MODULATION)
    tables = 2 * clip.tokens * shape.head_dim * FULL
    attention = clip.tokens * shape.heads * FULL
    latents = 4 * clip.tokens * (shape.vace_channels + shape.channels + 3 * shape.outputs) * FULL
    return (shape.vace + work) * tensor + tables + attention + latents


def decode_bytes(vae: VaeShape, clip: ClipShape, tiled: bool, each: int = FULL) -> float:
    """Bytes of activations alive at the peak of decoding; tiles keep only their own part at work.

    The decoder takes one latent frame (4 pictures) at a time; the video it has made so far is kept, with tiling
    also every tile, overlaps included.
    """
    video = 3 * clip.width * clip.height * clip.frames * each
    work = DECODED * PERIOD * vae.base * _area(clip, tiled) * each
    if not tiled:
        return work + video
    tiles = (TILE / TILE_STEP) ** 2 * video
    return max(work + tiles, tiles + 3 * video)


def encode_bytes(vae: VaeShape, clip: ClipShape, tiled: bool, each: int = FULL) -> float:
    """Bytes of activations alive at the peak of encoding, the pixel videos of the control included."""
    latents = 2 * vae.latent * clip.tokens * 4 * each
    pixels = VIDEO_COPIES * 3 * clip.width * clip.height * clip.frames * each
    area = _area(clip, tiled)
    return ENCODED * PERIOD * vae.base * area * each + latents + pixels


def _area(clip: ClipShape, tiled: bool) -> int:
    """Pixels that are at work at once."""
    if not tiled:
        return clip.width * clip.height
    return min(TILE, clip.width) * min(TILE, clip.height)


def plan_at(
    model: Model, clip: ClipShape, budget_gb: float, rung: int, device: str = "cuda", text_on_cpu: bool = False
) -> MemoryPlan:
    """The plan of one rung of the ladder, whether or not it fits.

    The text encoder runs on the CPU where `text_on_cpu` asks for it or the budget is too small for it.
    """
    shape = _shape(model)
    vae = VaeShape()
    each = HALF if device == "cuda" else FULL
    measures = LADDER[rung]
    tiled = Measure.VAE_TILING in measures
    weights = model.weights_gb(each) * 1e9
    share = 1.0
    if model.quantised_gb:
        share = model.quantised_gb * 1e9 / weights
    elif Measure.FP8_WEIGHTS in measures:
        share = 0.5
    stored = weights * share
    block = shape.block_parameters * each * share
    resident, working = stored, 0.0
    if Measure.FP8_WEIGHTS in measures or model.quantised_gb:
        working += shape.hidden * shape.ffn * each  # one layer at a time in the compute type
    if Measure.GROUP_OFFLOAD in measures:
        blocks = shape.layers + shape.vace
        outside = (shape.parameters - blocks * shape.block_parameters) * each
        resident, working = outside, working + 2 * block  # the block at work and the next one, already on its way
    vae_weights = model.count("vae") * FULL
    text = model.count("text_encoder") * HALF + TEXT_WORK
    context, slack = (CONTEXT, SLACK) if device == "cuda" else (0.0, 1.0)

    def gigabytes(amount: float) -> float:
        return round((amount * slack + context) / 1e9, 2)

    on_cpu = device == "cuda" and (text_on_cpu or gigabytes(text) > budget_gb)
    stages = {
        "text": 0.0 if on_cpu else gigabytes(text),
        "encode": gigabytes(resident + vae_weights + encode_bytes(vae, clip, tiled)),
        "denoise": gigabytes(resident + working + vae_weights + denoise_bytes(shape, clip, each)),
        "decode": gigabytes(resident + vae_weights + decode_bytes(vae, clip, tiled)),
    }
    host = max(stored if Measure.GROUP_OFFLOAD in measures else 0.0, text if on_cpu else 0.0)
    first = Measure.TEXT_ON_CPU if on_cpu else Measure.TEXT_FIRST
    return MemoryPlan(model.name, clip, device, budget_gb, rung, (first, *measures), stages, round(host / 1e9, 2))


def plan_for(name: str, clip: ClipShape, budget_gb: float, device: str = "cuda") -> MemoryPlan:
    """The fastest plan that is predicted to fit.

    Args:
        name: a Wan prior of the registry.
        clip: one window.
        budget_gb: memory of the card (or of the host, for the CPU) in 1e9 bytes.
        device: "cuda" or "cpu"; on the CPU only tiling helps, for offloading leads nowhere.

    Raises:
        Ani3DError: ``models.unknown``, ``models.no_plan`` (not a Wan prior), ``models.memory`` (nothing fits).
    """
    model = find(name)
    for rung in _rungs(model, device):
        plan = plan_at(model, clip, budget_gb, rung, device)
        if plan.fits:
            return plan
    raise _too_large_error(plan)


def next_lower(plan: MemoryPlan) -> MemoryPlan:
    """The next leaner plan, to be tried when a run ran out of memory in spite of the prediction.

    It takes the text encoder off the card, too, for the prediction may have been wrong there.

    Raises:
        Ani3DError: ``models.memory`` when nothing is leaner.
    """
    model = find(plan.model)
    leaner = [rung for rung in _rungs(model, plan.device) if rung > plan.rung]
    if plan.device != "cuda" or not leaner:
        raise _too_large_error(plan)
    return plan_at(model, plan.clip, plan.budget_gb, leaner[0], plan.device, text_on_cpu=True)


def _rungs(model: Model, device: str) -> list[int]:
    """Rungs of the ladder that a device has; weights that are quantised already are not cast to float8."""
    if device != "cuda":
        return [0, 1]
    cast = Measure.FP8_WEIGHTS
    return [rung for rung, measures in enumerate(LADDER) if not (model.quantised_gb and cast in measures)]


def _shape(model: Model) -> WanShape:
    if model.transformer is None:
        raise Ani3DError("models.no_plan", f"{model.name} is not a Wan prior.", "Plans are made for Wan priors only.")
    return model.transformer


def _too_large_error(plan: MemoryPlan) -> Ani3DError:
    clip = plan.clip
    shorter = (replace(clip, frames=frames) for frames in range(clip.frames - PERIOD, 0, -PERIOD))
    fitting = (c.frames for c in shorter if plan_at(find(plan.model), c, plan.budget_gb, plan.rung, plan.device).fits)
    frames = next(fitting, 0)
    hint = f"A window of {frames} frames would fit." if frames else "Take a smaller size or a smaller prior."
    return Ani3DError(
        "models.memory",
        f"{plan.model} at {clip.width}x{clip.height}, {clip.frames} frames needs about {plan.peak_gb:.1f} GB at its "
        f"leanest; there are {plan.budget_gb:.1f}.",
        hint,
    )
