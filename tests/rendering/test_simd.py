"""Vectors do what they say, and LLVM keeps them vectors: one number at a time would be right and far too slow."""

from __future__ import annotations

import platform
import re
from typing import Any

import numpy as np
import pytest
from numba import njit, types

from ani3dhuman.rendering.cpu import composite, composite_backward, footprint
from ani3dhuman.rendering.cpu.footprint import LAYOUT, exp2, f4
from ani3dhuman.rendering.cpu.projection import log2
from ani3dhuman.rendering.cpu.simd import (
    bits,
    both,
    ceil,
    first_bit,
    first_lanes,
    floor,
    fma,
    fnma,
    maximum,
    minimum,
    minus_magnitude,
    reciprocal,
    select,
    spans,
    splat,
    splat64,
    sqrt,
    sums,
)
from ani3dhuman.rendering.cpu.simd_memory import gather, load, load_rows, load_strided, scatter, store, store_rows

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


def test_columns_of_a_table_in_float64() -> None:
    @njit
    def run(table: Any, out: Any, valid: int) -> None:
        x = gather(table, 1, 3, valid)
        scatter(out, 0, 1, valid, sqrt(ceil(x * 2.0)) + floor(x) * select(first_lanes(3), splat64(0.0), 1.0))

    table, out = np.linspace(0.1, 9, 24, dtype=np.float32), np.full(8, -1.0)
    run(table, out, 8)
    x = table.reshape(8, 3)[:, 1].astype(float)
    expected = np.sqrt(np.ceil(x * 2)) + np.where(np.arange(8) < 3, 0, np.floor(x))
    assert np.array_equal(out, expected)
    short = np.full(8, -1.0)
    run(table, short, 2)
    assert np.array_equal(short[:2], expected[:2]) and (short[2:] == -1).all(), "rows beyond the table stay as they are"


def test_logarithms_are_better_than_float32() -> None:
    @njit
    def run(x: Any, out: Any) -> None:
        for k in range(0, len(x), 8):
            store(out, k, log2(load(x, k)))

    x = np.geomspace(1e-6, 3, 8000)
    out = np.empty_like(x)
    run(x, out)
    assert np.abs(out - np.log2(x)).max() < 1e-8


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


def test_pixels_of_a_picture_in_any_memory_order() -> None:
    @njit
    def run(picture: Any, out: Any) -> None:
        store(out, 0, load_strided(picture, 5, 3, 30))

    picture, out = np.arange(200, dtype=np.float32), np.empty(16, np.float32)
    run(picture, out)
    assert np.array_equal(out.reshape(4, 4), 5 + 3 * np.arange(4) + 30 * np.arange(4)[:, None])


def test_spans_of_bits() -> None:
    @njit
    def run(ends: Any) -> Any:
        return spans(load(ends, 0))

    last, first = [0, 7, 3, 9, -1, 5, -4, 100], [0, 0, 2, -3, 0, 6, -9, 8]
    found = int(run(np.array(last + first, np.float32)))
    for row, (a, b) in enumerate(zip(first, last, strict=True)):
        expected = sum(1 << k for k in range(8) if a <= k <= b)
        assert found >> (8 * row) & 0xFF == expected, row


def test_blocks_that_an_ellipse_touches_are_found_and_no_others() -> None:
    rng = np.random.default_rng(3)
    at = np.arange(32) + 0.5
    for _ in range(300):
        mean, angle = rng.uniform(-20, 52, 2), rng.uniform(0, np.pi)
        long, short = np.exp(rng.uniform(-0.5, 4)), np.exp(rng.uniform(-0.5, 2))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        (a, b), (_, c) = turn @ np.diag([long**2, short**2]) @ turn.T
        opacity = rng.uniform(0.01, 1)
        splat_, l11 = np.zeros(8), footprint.SCALE * np.sqrt(c / (a * c - b * b))
        splat_[:5] = *mean, l11, -b / c * l11, footprint.SCALE / np.sqrt(c)
        reach = np.sqrt(2 * np.log(opacity * 255))
        splat_.view(np.float32)[10:15] = np.log2(opacity), b / a, b / c, reach * np.sqrt(a), reach * np.sqrt(c)
        found = int(footprint.touched_blocks(LAYOUT, 0, splat_, splat_.view(np.float32), 0, 0))
        dx, dy = at[None] - mean[0], at[:, None] - mean[1]
        sigma = (c * dx * dx - 2 * b * dx * dy + a * dy * dy) / (a * c - b * b) / 2
        shown = (opacity * np.exp(-sigma) >= 1 / 255).reshape(8, 4, 8, 4).any((1, 3)).reshape(-1)
        # an ellipse may touch a block between its pixel centres, so some blocks more are allowed
        assert all(found >> k & 1 for k in range(64) if shown[k]), "a block that shows something was missed"
        extra = sum(found >> k & 1 for k in range(64)) - int(shown.sum())
        assert extra <= 8


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


STRIDES = types.UniTuple(types.int64, 4)
FLOATS, DOUBLES, IDS = _array(types.float32), _array(types.float64), _array(types.int32)
STARTS, MASKS = _array(types.int64), _array(types.uint64)
PICTURE, ALPHAS, BEHIND = _array(types.float32, 4), _array(types.float32, 3), _array(types.float32, 2)
INPUTS = types.NamedTuple((DOUBLES, FLOATS, STARTS, IDS, IDS, IDS, FLOATS, BEHIND, types.int64), composite.TileInputs)
OUTPUTS = types.NamedTuple((PICTURE, ALPHAS, FLOATS, FLOATS, MASKS), composite.TileOutputs)
HEAD = (types.int64, INPUTS, OUTPUTS)
KERNELS = {
    "forward": (composite.forward_tile, HEAD),
    "backward": (composite_backward.backward_tile, (*HEAD, FLOATS, STRIDES, ALPHAS, FLOATS, FLOATS)),
}


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
