"""Which arrays travel: bool, integers, floats and text, little-endian."""

from __future__ import annotations

import re

_DTYPES = {"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"}
_TEXT_DTYPE = re.compile(r"<U[1-9][0-9]{0,7}")


def travels(dtype: str) -> bool:
    """Whether arrays of the dtype with this `numpy.dtype.str` travel."""
    return dtype in _DTYPES or _TEXT_DTYPE.fullmatch(dtype) is not None
