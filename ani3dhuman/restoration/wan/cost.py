"""How much arithmetic a shot is, and the minutes it should take on a card.

A multiplication with its addition counts as two operations. Matrix products, convolutions and attention
are counted from the networks' shapes (as torch's `FlopCounterMode` does, which tests hold this against);
norms, activations and copies are not. Time is operations over a card's peak and an assumed utilisation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ani3d_formats.errors import Ani3DError

from ...models.find import find
from ...models.shapes import ClipShape, VaeShape, WanShape
from .memory import IMAGE_TOKENS, TEXT_TOKENS

WINDOW, OVERLAP = 81, 17  # frames that the Wan priors take at once, and that neighbouring windows share
STEPS = 7  # of self-guided sampling at strength 0.7
GUIDED = 2  # passes a step under classifier-free guidance
CONTROL_ENCODES = 3  # videos through the VAE's encoder a window: kept part, changed part, the coarse clip itself


def transformer_flops(shape: WanShape, clip: ClipShape, text: int = TEXT_TOKENS) -> float:
    """Operations of one forward pass of the transformer, batch 1.

    Args:
        shape: of the transformer.
        clip: one window; L tokens.
        text: tokens of the prompt, padding included.
    """
    length, d = clip.tokens, shape.hidden
    seen = text + (IMAGE_TOKENS if shape.image_dim else 0)
    projections = 6 * length * d * d + 2 * seen * d * d  # q, k, v, out; then q, out of tokens and k, v of what is seen
    attention = 2 * length * (length + seen) * d
    block = 2 * (projections + attention + 2 * length * d * shape.ffn)
    control = 2 * length * d * d * (shape.vace + 1) if shape.vace else 0
    cells = 4 * (shape.channels + shape.vace_channels * bool(shape.vace) + shape.outputs)  # in, control, out
    embeddings = 2 * length * d * cells + 2 * text * d * (shape.text_dim + d) + 2 * d * (shape.freq_dim + 7 * d)
    embeddings += 2 * (seen - text) * shape.image_dim * (shape.image_dim + d)
    return float((shape.layers + shape.vace) * block + control + embeddings)


def decode_flops(vae: VaeShape, clip: ClipShape) -> float:
    """Operations of decoding one window."""
    return float(sum(_decoder(vae, clip)))


def encode_flops(vae: VaeShape, clip: ClipShape) -> float:
    """Operations of encoding one window of pictures (references counted by their own latent frames)."""
    return float(sum(_encoder(vae, clip)))


def _conv(taps: int, inputs: int, outputs: int, cells: float) -> float:
    return 2.0 * taps * inputs * outputs * cells


def _residual(inputs: int, outputs: int, cells: float) -> float:
    shortcut = _conv(1, inputs, outputs, cells) if inputs != outputs else 0.0
    return _conv(27, inputs, outputs, cells) + _conv(27, outputs, outputs, cells) + shortcut


def _middle(width: int, frames: int, area: int) -> float:
    attention = frames * (2.0 * area * width * 4 * width + 4.0 * area * area * width)
    return 2 * _residual(width, width, frames * area) + attention


def _areas(vae: VaeShape, clip: ClipShape) -> list[int]:
    """Cells of a frame at every level, full resolution first."""
    return [(clip.height >> level) * (clip.width >> level) for level in range(len(vae.mult))]


def _decoder(vae: VaeShape, clip: ClipShape) -> Iterator[float]:
    areas, widths = _areas(vae, clip), vae.widths
    later, frames, level = clip.latent_frames - 1, clip.latent_frames, len(widths) - 1
    yield _conv(1, vae.latent, vae.latent, frames * areas[level])
    yield _conv(27, vae.latent, widths[level], frames * areas[level])
    yield _middle(widths[level], frames, areas[level])
    width = widths[level]
    for level in reversed(range(len(widths))):
        yield _residual(width, widths[level], frames * areas[level])
        yield vae.blocks * _residual(widths[level], widths[level], frames * areas[level])
        if level == 0:
            break
        if vae.down_time[level - 1]:  # the first latent frame is one picture, the later ones double
            yield _conv(3, widths[level], 2 * widths[level], later * areas[level])
            later *= 2
            frames = 1 + later
        width = widths[level] // 2
        yield _conv(9, widths[level], width, frames * areas[level - 1])
    yield _conv(27, widths[0], 3, frames * areas[0])


def _encoder(vae: VaeShape, clip: ClipShape) -> Iterator[float]:
    areas, widths = _areas(vae, clip), vae.widths
    later = (clip.latent_frames - 1) * 2 ** sum(vae.down_time)
    yield _conv(27, 3, vae.base, (1 + later) * areas[0])
    width = vae.base
    for level, wider in enumerate(widths):
        yield _residual(width, wider, (1 + later) * areas[level])
        yield (vae.blocks - 1) * _residual(wider, wider, (1 + later) * areas[level])
        width = wider
        if level + 1 < len(widths):
            yield _conv(9, width, width, (1 + later) * areas[level + 1])
            if vae.down_time[level]:
                later //= 2
                yield _conv(3, width, width, later * areas[level + 1])
    frames = 1 + later
    yield _middle(width, frames, areas[-1])
    yield _conv(27, width, 2 * vae.latent, frames * areas[-1])
    yield _conv(1, 2 * vae.latent, 2 * vae.latent, frames * areas[-1])


@dataclass(frozen=True)
class ShotCost:
    """Operations of a whole shot: `transformer` and `text` run in bfloat16, `vae` in float32."""

    windows: int
    passes: int
    transformer: float
    vae: float
    text: float


def shot_cost(name: str, width: int, height: int, frames: int, distilled: str = "") -> ShotCost:
    """What restoring a shot costs.

    Args:
        name: a Wan prior of the registry.
        width, height: pixels; Wan runs at multiples of 16, to which they are rounded up.
        frames: of the shot, cut into windows of `WINDOW` that share `OVERLAP`.
        distilled: a lora of that prior: its steps, without guidance. "" for none.

    Raises:
        Ani3DError: ``models.unknown``, ``models.no_plan`` (not a Wan prior), ``models.lora`` (of another prior).
    """
    model = find(name)
    if model.transformer is None:
        raise Ani3DError("models.no_plan", f"{name} is not a Wan prior.", "Costs are known for Wan priors only.")
    steps, each = STEPS, GUIDED
    if distilled:
        made_for = find(distilled).distilled
        if made_for is None or name not in made_for.priors:
            raise Ani3DError("models.lora", f"{distilled} is not made for {name}.", f"Use one of {_adapters(name)}.")
        steps, each = made_for.steps, 1
    windows = 1 + max(0, math.ceil((frames - WINDOW) / (WINDOW - OVERLAP)))
    window = min(WINDOW, 4 * math.ceil((frames - 1) / 4) + 1)
    clip = ClipShape(16 * math.ceil(width / 16), 16 * math.ceil(height / 16), window, references=1)
    passes = windows * steps * each
    vae = VaeShape()
    return ShotCost(
        windows,
        passes,
        passes * transformer_flops(model.transformer, clip),
        windows * (CONTROL_ENCODES * encode_flops(vae, clip) + decode_flops(vae, clip)),
        2 * 2.0 * TEXT_TOKENS * model.count("text_encoder"),
    )


def _adapters(name: str) -> str:
    from ...models.registry import adapters_of

    return ", ".join(model.name for model in adapters_of(name)) or "none: there is none"


@dataclass(frozen=True)
class Card:
    """A card by its data sheet: memory in GB, dense bfloat16 peak (float32 sums) in 1e12 operations a second."""

    name: str
    memory_gb: int
    tflops: float


CARDS = (
    Card("RTX 3060 12 GB", 12, 25.5),
    Card("RTX 4070", 12, 58.3),
    Card("RTX 4090", 24, 165.2),
    Card("RTX A6000", 48, 154.8),
    Card("H100 SXM", 80, 989.4),
)
UTILISATION = 0.45  # of the bfloat16 peak by the transformer (assumed; published runs give 0.25 to 0.7)
VAE_UTILISATION = 0.3  # of the peak of its convolutions (assumed)
VAE_SPEED = 0.5  # peak of TF32, in which cuDNN runs float32 convolutions, relative to bfloat16


def minutes(cost: ShotCost, card: Card) -> float:
    """Minutes on a card that has the memory for it; a factor of two either way is to be expected."""
    peak = card.tflops * 1e12
    seconds = (cost.transformer + cost.text) / (peak * UTILISATION)
    return (seconds + cost.vae / (peak * VAE_SPEED * VAE_UTILISATION)) / 60
