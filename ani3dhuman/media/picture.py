"""A picture that says how its alpha and its colours are to be read, and converts only when told to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ani3d_formats.color import linear_to_srgb, srgb_to_linear
from ani3d_formats.errors import Ani3DError

Alpha = Literal["premultiplied", "straight"]
Transfer = Literal["linear", "srgb"]


@dataclass(frozen=True)
class Picture:
    """An RGBA picture with Rec. 709 primaries.

    Attributes:
        rgba: (H,W,4) float32, row 0 at the top, alpha (coverage) 0..1.
        alpha: ``"premultiplied"`` (associated: colours are multiplied by alpha, after the transfer function) or
            ``"straight"`` (unassociated).
        transfer: ``"linear"`` light or ``"srgb"``-encoded (IEC 61966-2-1).

    Raises:
        Ani3DError: ``picture.declared`` for other words, ``picture.shape`` for another shape or dtype.
    """

    rgba: np.ndarray
    alpha: Alpha
    transfer: Transfer

    def __post_init__(self) -> None:
        _check_words(self.alpha, self.transfer)
        if self.rgba.ndim != 3 or self.rgba.shape[2] != 4 or self.rgba.dtype != np.float32:
            raise Ani3DError(
                "picture.shape",
                f"The picture is {self.rgba.dtype} {self.rgba.shape}, expected float32 (H,W,4).",
                "Add an alpha channel of ones to an opaque picture.",
            )

    def to(self, alpha: Alpha, transfer: Transfer) -> Picture:
        """The same picture declared otherwise; nothing is touched where nothing changes.

        The transfer function belongs to the colour of what covers the pixel, so it is applied to straight colours
        only. Straight colours under alpha 0 cannot be known and become 0; light above 1 is clipped by sRGB.

        Raises:
            Ani3DError: ``picture.declared`` for other words than those of `Picture`.
        """
        _check_words(alpha, transfer)
        if (alpha, transfer) == (self.alpha, self.transfer):
            return self
        rgb, coverage = self.rgba[..., :3], self.rgba[..., 3:]
        if self.alpha == "premultiplied":
            rgb = np.divide(rgb, coverage, out=np.zeros_like(rgb), where=coverage > 0)
        if transfer != self.transfer:
            rgb = srgb_to_linear(rgb) if transfer == "linear" else linear_to_srgb(rgb)
        if alpha == "premultiplied":
            rgb = rgb * coverage
        return Picture(np.concatenate([rgb, coverage], axis=-1), alpha, transfer)


def _check_words(alpha: str, transfer: str) -> None:
    for name, word, known in (("alpha", alpha, get_args(Alpha)), ("transfer", transfer, get_args(Transfer))):
        if word not in known:
            raise Ani3DError(
                "picture.declared", f"A picture's {name} is {word!r}.", f"Known words: {', '.join(known)}."
            )
