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
    """Shape of a `WanVACETransformer3DModel`, or of a `WanTransformer3DModel` where there are no control blocks.

    Attributes:
        vace: number of control blocks.
        channels, outputs: of the network's input, conditions included, and of its output.
        image_dim: of the picture's features that image-to-video networks attend to, 0 for others.
        reference: channels of a reference convolution, as Wan-Fun-Control may have, or 0.
    """

    layers: int
    heads: int
    head_dim: int
    ffn: int
    vace: int
    text_dim: int = 4096
    freq_dim: int = 256
    channels: int = 16
    vace_channels: int = 96
    outputs: int = 16
    image_dim: int = 0
    reference: int = 0

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
            outputs=config.get("out_channels") or config["in_channels"],
            image_dim=config.get("image_dim") or 0,
            reference=config.get("reference_channels") or 0,
        )

    @classmethod
    def from_published(cls, config: Mapping[str, Any]) -> WanShape:
        """The shape that a `config.json` of a Wan-Fun-Control describes, in the words of Wan's authors."""
        return cls(
            layers=config["num_layers"],
            heads=config["num_heads"],
            head_dim=config["dim"] // config["num_heads"],
            ffn=config["ffn_dim"],
            vace=0,
            text_dim=config.get("text_dim", 4096),
            freq_dim=config.get("freq_dim", 256),
            channels=config["in_dim"],
            vace_channels=0,
            outputs=config["out_dim"],
            image_dim=config.get("image_dim", 1280) if config["model_type"] == "i2v" else 0,
            reference=config.get("in_dim_ref_conv", config["out_dim"]) if config.get("add_ref_conv") else 0,
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
        picture = 2 * (d * d + d) + d if self.image_dim else 0  # keys and values of its features, and a norm
        return 2 * attention + picture + 2 * d * self.ffn + self.ffn + d + 2 * d + 6 * d

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
        if self.image_dim:
            embeddings += self.image_dim * (self.image_dim + 1) + self.image_dim * d + d + 2 * (self.image_dim + d)
        if self.reference:
            embeddings += 4 * self.reference * d + d
        head = d * 4 * self.outputs + 4 * self.outputs + 2 * d
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
