"""Vectors do what they say, and LLVM keeps them vectors: one number at a time would be right and far too slow."""

from __future__ import annotations

import platform
import re
from typing import Any

import numpy as np
import pytest
from numba import njit, types

from ani3dhuman.rendering.cpu import composite, composite_backward, footprint, simd
from ani3dhuman.rendering.cpu.footprint import LAYOUT, exp2, f4
from ani3dhuman.rendering.cpu.simd import (
    bits,
    both,
    first_bit,
    fma,
    fnma,
    load,
    load_rows,
    maximum,
    minimum,
    minus_magnitude,
    reciprocal,
    select,
    splat,
    store,
    store_rows,
    sums,
)

A = np.linspace(-3, 4, 16, dtype=np.float32)
B = np.linspace(0.3, 2, 16, dtype=np.float32)


def test_arithmetic_is_that_of_numpy() -> None:
    @njit
    def run(a: Any, b: Any, out: Any) -> None:
        x, y = load(a, 0), load(b, 0)
        store(out, 0, x + y)
        store(out, 16, x - f4(2))
        store(out, 32, 3 * x)
        store(out, 48, x / y)
        store(out, 64, minimum(x, y))
        store(out, 80, maximum(x, f4(1)))
        store(out, 96, minus_magnitude(x))
        store(out, 112, splat(f4(7)))

    out = np.empty(128, np.float32)
    run(A, B, out)
    expected = [A + B, A - 2, 3 * A, A / B, np.minimum(A, B), np.maximum(A, 1), -np.abs(A), np.full(16, 7)]
    assert np.array_equal(out.reshape(8, 16), np.array(expected, np.float32))


def test_fused_products_and_reciprocals_are_within_rounding() -> None:
    @njit
    def run(a: Any, b: Any, out: Any) -> None:
        x, y = load(a, 0), load(b, 0)
        store(out, 0, fma(x, y, 2))
        store(out, 16, fnma(x, y, x))
        store(out, 32, reciprocal(y))

    out = np.empty(48, np.float32)
    run(A, B, out)
    exact = np.concatenate([A.astype(float) * B + 2, A - A.astype(float) * B, 1 / B.astype(float)])
    assert np.allclose(out, exact, rtol=3e-7, atol=3e-7)


def test_masks_choose_and_become_bits() -> None:
    @njit
    def run(a: Any, out: Any) -> Any:
        x = load(a, 0)
        inside = both(x > f4(-1), x <= f4(2))
        store(out, 0, select(inside, x, f4(9)))
        return bits(inside), bits(x < f4(0)), bits(x >= f4(0)), first_bit(bits(inside))

    out = np.empty(16, np.float32)
    inside, negative, positive, first = run(A, out)
    chosen = (A > -1) & (A <= 2)
    assert np.array_equal(out, np.where(chosen, A, 9).astype(np.float32))
    assert inside == sum(1 << k for k in range(16) if chosen[k]) and first == chosen.argmax()
    assert negative == sum(1 << k for k in range(16) if A[k] < 0) and negative ^ positive == 0xFFFF


def test_rows_of_a_picture() -> None:
    @njit
    def run(picture: Any, out: Any) -> None:
        store_rows(out, 3, 9, load_rows(picture, 2, 10))

    picture, out = np.arange(40, dtype=np.float32), np.zeros(36, np.float32)
    run(picture, out)
    expected = np.zeros((4, 9), np.float32)
    expected[:, 3:7] = picture.reshape(4, 10)[:, 2:6]
    assert np.array_equal(out.reshape(4, 9), expected)


@pytest.mark.parametrize("count", [1, 9, 16])
def test_sums_over_lanes(count: int) -> None:
    table = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    namespace = {"sums": sums, "load": load, "store": store}
    loads = "".join(f"load(table, {16 * k})," for k in range(count))
    exec(f"def run(table, out):\n    store(out, 0, sums(({loads})))", namespace)
    out = np.empty(16, np.float32)
    njit(namespace["run"])(table.reshape(-1), out)
    assert np.allclose(out[:count], table[:count].sum(1), atol=1e-5) and not out[count:].any()


def test_powers_of_two_are_accurate_to_float32() -> None:
    @njit
    def run(x: Any, out: Any) -> None:
        for k in range(0, len(x), 16):
            store(out, k, exp2(load(x, k)))

    x = np.linspace(-9, 0, 16 * 1000, dtype=np.float32)
    out = np.empty_like(x)
    run(x, out)
    assert np.abs(out / np.exp2(x.astype(float)) - 1).max() < 4e-7


X86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="reads x86 instructions: SIMD was NOT checked on this processor",
)


def floating_point(function: Any, arguments: tuple[Any, ...]) -> tuple[int, int]:
    """How many products of packed and of single float32 the machine code of a fresh compilation has."""
    fresh = njit(arguments, boundscheck=False, error_model="numpy")(function)
    (assembly,) = fresh.inspect_asm().values()
    packed = re.findall(r"^\s+v?(?:mulps|fn?m(?:add|sub)\d*ps)\b", assembly, re.MULTILINE)
    single = re.findall(r"^\s+v?(?:mulss|fn?m(?:add|sub)\d*ss)\b", assembly, re.MULTILINE)
    return len(packed), len(single)


def _array(kind: Any, dimensions: int = 1) -> Any:
    return types.Array(kind, dimensions, "C")


FLOATS, DOUBLES, IDS = _array(types.float32), _array(types.float64), _array(types.int32)
STARTS, MASKS = _array(types.int64), _array(types.uint64)
PICTURE, ALPHAS, BEHIND = _array(types.float32, 4), _array(types.float32, 3), _array(types.float32, 2)
HEAD = (types.int64, DOUBLES, FLOATS, FLOATS, types.int64, STARTS, IDS)
KERNELS = {
    "forward": (
        composite.forward_tile,
        (*HEAD, FLOATS, BEHIND, types.int64, PICTURE, ALPHAS, FLOATS, FLOATS, MASKS),
    ),
    "backward": (
        composite_backward.backward_tile,
        (
            *HEAD, IDS, FLOATS, BEHIND, types.int64, PICTURE, FLOATS, FLOATS, MASKS, PICTURE, ALPHAS, FLOATS, FLOATS,
        ),
    ),
}  # fmt: skip


@X86
@pytest.mark.parametrize("name", KERNELS)
def test_compositing_is_vectorised(name: str) -> None:
    function, arguments = KERNELS[name]
    packed, single = floating_point(function.py_func, arguments)
    assert packed > 20 and packed > 3 * single, f"{packed} packed, {single} single products"


@X86
def test_the_guard_sees_scalar_code() -> None:
    def chained(tile: np.ndarray, first: int, last: int, factor: float) -> None:
        for p in range(first + 1, last):
            tile[p] = tile[p - 1] * factor * tile[p]

    packed, single = floating_point(chained, (FLOATS, types.int64, types.int64, types.float32))
    assert packed < single


def test_one_vector_is_one_block() -> None:
    assert int(footprint.LANES) == simd.LANES == footprint.BLOCK**2 and len(LAYOUT) == 4 * simd.LANES
