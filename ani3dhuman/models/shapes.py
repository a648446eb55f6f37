"""What the memory and cost laws need to know of Wan's networks: their shapes, parameters and tokens.

A shape is read from the `config.json` of a diffusers component; nothing is loaded. Counts follow the
layers of diffusers' `WanVACETransformer3DModel` and `AutoencoderKLWan`; tests hold them against the classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STRIDE = 8  # pixels a latent cell spans, each way
PERIOD = 4  # frames a latent frame spans, after the first


@dataclass(frozen=True)
class ClipShape:
    """A clip as one window of the prior sees it.

    Attributes:
        width, height: pixels; Wan wants multiples of 16.
        frames: 4k + 1 pictures.
        references: reference pictures, one latent frame each in front.
    """

    width: int
    height: int
    frames: int
    references: int = 0

    @property
    def latent_frames(self) -> int:
        """Latent frames T', references included."""
        return 1 + math.ceil((self.frames - 1) / PERIOD) + self.references

    @property
    def tokens(self) -> int:
        """Tokens of the transformer: one for 2 x 2 latent cells of a latent frame."""
        return self.latent_frames * math.ceil(self.height / (2 * STRIDE)) * math.ceil(self.width / (2 * STRIDE))


@dataclass(frozen=True)
class WanShape:
    """Shape of a `WanVACETransformer3DModel`; `vace` is the number of control blocks, 0 for a plain Wan."""

    layers: int
    heads: int
    head_dim: int
    ffn: int
    vace: int
    text_dim: int = 4096
    freq_dim: int = 256
    channels: int = 16
    vace_channels: int = 96

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WanShape:
        """The shape that a transformer's `config.json` describes."""
        return cls(
            layers=config["num_layers"],
            heads=config["num_attention_heads"],
            head_dim=config["attention_head_dim"],
            ffn=config["ffn_dim"],
            vace=len(config.get("vace_layers") or ()),
            text_dim=config["text_dim"],
            freq_dim=config["freq_dim"],
            channels=config["in_channels"],
            vace_channels=config.get("vace_in_channels") or 0,
        )

    @property
    def hidden(self) -> int:
        """Width of a token."""
        return self.heads * self.head_dim

    @property
    def block_parameters(self) -> int:
        """Of one block: two attentions (four projections, two norms), the feed-forward net, norm and modulation."""
        d = self.hidden
        attention = 4 * (d * d + d) + 2 * d
        return 2 * attention + 2 * d * self.ffn + self.ffn + d + 2 * d + 6 * d

    @property
    def parameters(self) -> int:
        """Of the whole transformer."""
        d = self.hidden
        control = 0
        if self.vace:
            projections = (self.vace + 1) * (d * d + d)  # one out of every control block, one into the first
            control = self.vace * self.block_parameters + projections + 4 * self.vace_channels * d + d
        embeddings = 4 * self.channels * d + d
        embeddings += self.freq_dim * d + d + d * d + d + 6 * d * d + 6 * d  # time
        embeddings += self.text_dim * d + d + d * d + d
        head = d * 4 * self.channels + 4 * self.channels + 2 * d
        return self.layers * self.block_parameters + control + embeddings + head


@dataclass(frozen=True)
class VaeShape:
    """Shape of an `AutoencoderKLWan` of Wan 2.1 (2.2's A14B models use the same)."""

    base: int = 96
    latent: int = 16
    mult: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    down_time: tuple[bool, ...] = (False, True, True)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> VaeShape:
        """The shape that a VAE's `config.json` describes."""
        return cls(
            base=config["base_dim"],
            latent=config["z_dim"],
            mult=tuple(config["dim_mult"]),
            blocks=config["num_res_blocks"],
            down_time=tuple(config["temperal_downsample"]),
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at full resolution, half, quarter, ..."""
        return tuple(self.base * factor for factor in self.mult)
