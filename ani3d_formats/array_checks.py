"""Named arrays checked against a table of shapes, in which sizes have names that must agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .errors import Ani3DError

Shape = tuple[str | int, ...]


def check_array(
    name: str,
    array: np.ndarray,
    shape: Shape,
    kind: str,
    sizes: dict[str, int],
    bad: Callable[[str, str], Ani3DError],
) -> None:
    """Refuse an array of another shape or kind than its table says, and one that is not finite.

    Args:
        shape: a number for a size that is known, a name for one that arrays share.
        kind: "f" for floats, "i" for whole numbers.
        sizes: the sizes known so far by name; new ones are added.
        bad: the error for a code, `bad_array` or `not_finite`, and a sentence.
    """
    fits = array.ndim == len(shape) and array.dtype.kind in ("f" if kind == "f" else "iu")
    for size, symbol in zip(array.shape, shape, strict=False):
        fits = fits and size == (symbol if isinstance(symbol, int) else sizes.setdefault(symbol, size))
    if not fits:
        wanted = f"{'float' if kind == 'f' else 'integer'} ({','.join(map(str, shape))})"
        known = ", ".join(f"{symbol}={size}" for symbol, size in sizes.items())
        raise bad("bad_array", f"'{name}' is {array.dtype} {array.shape}; expected {wanted} with {known}.")
    if kind == "f" and not np.isfinite(array).all():
        raise bad("not_finite", f"'{name}' holds NaN or infinite values.")
