"""Fails when LLVM stops vectorising a pixel loop: the picture would stay right and take four to eight times as long."""

from __future__ import annotations

import platform
import re
from typing import Any

import numpy as np
import pytest
from numba import njit

from ani3dhuman.rendering.cpu import composite

U, f4 = np.uint64, np.float32
SPAN = (U(0), U(256))
COLORS = (f4(0.1), f4(0.2), f4(0.3), f4(0.4))
SHAPE = (f4(8), f4(8), f4(0.01), f4(0), f4(0.01), f4(0.5))
LOOPS: dict[str, tuple[Any, ...]] = {
    "attenuate": SHAPE,
    "add_channels": (U(4 * 256), *COLORS),
    "dot_channels": (U(6 * 256), *COLORS, f4(0)),
    "attenuate_backward": SHAPE,
    "sum_channels": (U(6 * 256),),
}


def multiplications(function: Any, arguments: tuple[Any, ...]) -> tuple[int, int]:
    """How many multiplications of packed and of single floats the machine code of a fresh compilation has."""
    fresh = njit(fastmath=True, boundscheck=False, error_model="numpy")(function)
    fresh(np.ones(10 * 256, f4), *SPAN, *arguments)
    (assembly,) = fresh.inspect_asm().values()
    packed = re.findall(r"^\s+v?(?:mulps|fn?m(?:add|sub)\d*ps)\b", assembly, re.MULTILINE)
    single = re.findall(r"^\s+v?(?:mulss|fn?m(?:add|sub)\d*ss)\b", assembly, re.MULTILINE)
    return len(packed), len(single)


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="reads x86 instructions: SIMD was NOT checked on this processor",
)
@pytest.mark.parametrize("name", LOOPS)
def test_pixel_loop_is_vectorised(name: str) -> None:
    packed, single = multiplications(getattr(composite, name).py_func, LOOPS[name])
    assert packed > 0 and packed >= single, f"{packed} packed, {single} scalar multiplications"


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="reads x86 instructions: SIMD was NOT checked on this processor",
)
def test_the_guard_sees_scalar_code() -> None:
    def chained(tile: np.ndarray, first: int, last: int, factor: float) -> None:
        for p in range(first + U(1), last):
            tile[p] = tile[p - U(1)] * factor * tile[p]

    packed, single = multiplications(chained, (f4(0.5),))
    assert packed < single
