"""Vectors of 16 floats as a numba type, so that kernels say what runs in SIMD instead of hoping that LLVM sees it.

A kernel writes `fma(u, u, v * v)` on vectors as it would on numbers; every operation becomes one LLVM vector
instruction, which is one AVX-512 instruction, two of AVX or four of NEON. Comparisons give masks, `select` picks by
mask, `bits` turns a mask into an integer. Nothing here is reordered: the same operations give the same bits in every
kernel that uses them.

Indices count floats from the start of a C-contiguous float32 array and are never checked nor wrapped.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba.extending
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import models, overload, register_model

intrinsic: Any = numba.extending.intrinsic  # what it returns is called without the typing context

LANES = 16
ROW = 4  # `load_rows` and `store_rows` see a vector as 4x4 pixels

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_BOOLS = ir.VectorType(ir.IntType(1), LANES)
_FOUR = ir.VectorType(ir.FloatType(), ROW)


class Float32x16(types.Type):
    """16 floats."""

    def __init__(self) -> None:
        super().__init__(name="Float32x16")


class Mask16(types.Type):
    """16 truth values, what comparing two vectors gives."""

    def __init__(self) -> None:
        super().__init__(name="Mask16")


f32x16 = Float32x16()
mask16 = Mask16()


@register_model(Float32x16)
class _FloatsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, _FLOATS)


@register_model(Mask16)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, _BOOLS)


def _broadcast(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_INTS, [0] * LANES))


def _vector(context: Any, builder: Any, value: Any, kind: types.Type) -> Any:
    """A vector as it is, a number in all lanes."""
    if kind == f32x16:
        return value
    return _broadcast(builder, context.cast(builder, value, kind, types.float32))


def _is_operand(kind: Any) -> bool:
    return kind == f32x16 or isinstance(kind, (types.Float, types.Integer))


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, in one rounding where the processor has such an instruction."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fmuladd.v16f32"), [a, b, c])


def _operation(count: int, result: types.Type, emit: Callable[..., Any], about: str) -> Any:
    """A function of `count` vectors or numbers, at least one of them a vector."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit(builder, *(_vector(context, builder, v, k) for v, k in zip(args, sig.args, strict=True)))

    def typed(*kinds: Any) -> Any:
        if not all(map(_is_operand, kinds)) or f32x16 not in kinds:
            return None
        return signature(result, *kinds), code

    if count == 2:

        def build(typingctx: Any, a: Any, b: Any) -> Any:
            return typed(a, b)
    else:

        def build(typingctx: Any, a: Any, b: Any, c: Any) -> Any:  # type: ignore[misc]
            return typed(a, b, c)

    build.__doc__ = about
    return intrinsic(build)


def _operator(symbol: Any, result: types.Type, emit: Callable[..., Any]) -> None:
    call = _operation(2, result, emit, symbol.__name__)

    def implementation(a, b):  # type: ignore[no-untyped-def]  # numba compares its signature with the lambda's
        if _is_operand(a) and _is_operand(b) and f32x16 in (a, b):
            return lambda a, b: call(a, b)
        return None

    overload(symbol)(implementation)


def _compare(sign: str) -> Callable[..., Any]:
    return lambda builder, a, b: builder.fcmp_ordered(sign, a, b)


_operator(operator.add, f32x16, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, f32x16, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, f32x16, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, f32x16, lambda builder, a, b: builder.fdiv(a, b))
_operator(operator.lt, mask16, _compare("<"))
_operator(operator.le, mask16, _compare("<="))
_operator(operator.gt, mask16, _compare(">"))
_operator(operator.ge, mask16, _compare(">="))

minimum = _operation(2, f32x16, lambda b, x, y: b.select(b.fcmp_ordered("<", x, y), x, y), "The smaller, by lane.")
maximum = _operation(2, f32x16, lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y), "The larger, by lane.")
fma = _operation(3, f32x16, _fused, "a b + c.")
fnma = _operation(3, f32x16, lambda b, x, y, z: _fused(b, b.fneg(x), y, z), "c - a b.")


@intrinsic
def splat(typingctx: Any, number: Any) -> Any:
    """A number in all lanes."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _vector(context, builder, args[0], sig.args[0])

    return signature(f32x16, number), code


@intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """a where the mask is set, else b."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        chosen = (_vector(context, builder, v, k) for v, k in zip(args[1:], sig.args[1:], strict=True))
        return builder.select(args[0], *chosen)

    return signature(f32x16, mask, a, b), code


@intrinsic
def both(typingctx: Any, a: Any, b: Any) -> Any:
    """Where two masks are set."""
    return signature(mask16, a, b), lambda context, builder, sig, args: builder.and_(*args)


@intrinsic
def bits(typingctx: Any, mask: Any) -> Any:
    """uint64 with bit k set where lane k of the mask is."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))

    return signature(types.uint64, mask), code


@intrinsic
def first_bit(typingctx: Any, number: Any) -> Any:
    """Index of the lowest bit set in a uint64 that is not 0."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.IntType(1)(1))

    return signature(types.uint64, types.uint64), code


@intrinsic
def minus_magnitude(typingctx: Any, a: Any) -> Any:
    """-|a|."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        sign = ir.Constant(_INTS, [0x80000000] * LANES)
        return builder.bitcast(builder.or_(builder.bitcast(args[0], _INTS), sign), _FLOATS)

    return signature(f32x16, a), code


@intrinsic
def shift_exponent(typingctx: Any, a: Any, n: Any) -> Any:
    """a 2^n, where n holds integers in the low bits of a float (an integer plus 1.5 2^23)."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        high = builder.shl(builder.bitcast(args[1], _INTS), ir.Constant(_INTS, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(args[0], _INTS), high), _FLOATS)

    return signature(f32x16, a, n), code


@intrinsic
def reciprocal(typingctx: Any, a: Any) -> Any:
    """1 / a to within two units in the last place; AVX-512 estimates and refines, since its division is slow."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one = ir.Constant(_FLOATS, [1.0] * LANES)
        if not llvmlite.binding.get_host_cpu_features().get("avx512f"):
            return builder.fdiv(one, args[0])
        kind = ir.FunctionType(_FLOATS, [_FLOATS, _FLOATS, ir.IntType(16)])
        estimate = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.rcp14.ps.512")
        near = builder.call(estimate, [args[0], ir.Constant(_FLOATS, ir.Undefined), ir.IntType(16)(0xFFFF)])
        error = _fused(builder, builder.fneg(args[0]), near, one)
        return _fused(builder, error, near, near)

    return signature(f32x16, a), code


def _address(context: Any, builder: Any, sig: Any, args: Any, kind: Any, offset: Any = None) -> Any:
    """Pointer to what begins at index args[1] of array args[0], `offset` floats further on."""
    data = context.make_array(sig.args[0])(context, builder, args[0]).data
    index = context.cast(builder, args[1], sig.args[1], types.intp)
    if offset is not None:
        index = builder.add(index, offset)
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Floats index .. index + 15."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, sig, args, _FLOATS), align=4)

    return signature(f32x16, array, index), code


@intrinsic
def store(typingctx: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write floats index .. index + 15."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, sig, args, _FLOATS), align=4)
        return context.get_dummy_value()

    return signature(types.none, array, index, vector), code


@intrinsic
def load_rows(typingctx: Any, array: Any, index: Any, stride: Any) -> Any:
    """4x4 pixels of a picture whose rows are `stride` floats apart, row by row."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        step = context.cast(builder, args[2], sig.args[2], types.intp)
        rows = []
        for r in range(LANES // ROW):
            offset = builder.mul(step, ir.IntType(64)(r))
            rows.append(builder.load(_address(context, builder, sig, args, _FOUR, offset), align=4))
        pair = ir.Constant(ir.VectorType(ir.IntType(32), 8), list(range(8)))
        halves = [builder.shuffle_vector(rows[k], rows[k + 1], pair) for k in (0, 2)]
        return builder.shuffle_vector(*halves, ir.Constant(_INTS, list(range(LANES))))

    return signature(f32x16, array, index, stride), code


@intrinsic
def store_rows(typingctx: Any, array: Any, index: Any, stride: Any, vector: Any) -> Any:
    """Write 4x4 pixels of a picture whose rows are `stride` floats apart."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        step = context.cast(builder, args[2], sig.args[2], types.intp)
        for r in range(LANES // ROW):
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), ROW), list(range(ROW * r, ROW * (r + 1))))
            row = builder.shuffle_vector(args[3], ir.Constant(_FLOATS, ir.Undefined), lanes)
            offset = builder.mul(step, ir.IntType(64)(r))
            builder.store(row, _address(context, builder, sig, args, _FOUR, offset), align=4)
        return context.get_dummy_value()

    return signature(types.none, array, index, stride, vector), code


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of an element of any array, soon to be read."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _address(context, builder, sig, args, ir.IntType(8))
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(fetch, [pointer, i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return signature(types.none, array, index), code


@intrinsic
def sums(typingctx: Any, vectors: Any) -> Any:
    """Lane k is the sum over vector k of a tuple of up to 16; lanes beyond the tuple are 0.

    Two vectors are folded into one that holds both halved, then two of those, and so on: log2(16) rounds, about a
    third of the work of summing each by itself.
    """
    count = len(vectors)

    def fold(builder: Any, a: Any, b: Any, stride: int) -> Any:
        low = [(lane & stride and LANES) + (lane & ~stride) for lane in range(LANES)]
        halves = (ir.Constant(_INTS, low), ir.Constant(_INTS, [lane + stride for lane in low]))
        return builder.fadd(*(builder.shuffle_vector(a, b, half) for half in halves))

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = ir.Constant(_FLOATS, [0.0] * LANES)
        level = [builder.extract_value(args[0], k) if k < count else None for k in range(LANES)]
        stride = LANES // 2
        while stride:
            pairs = zip(level[:stride], level[stride:], strict=True)
            level = [None if a is None else fold(builder, a, zero if b is None else b, stride) for a, b in pairs]
            stride //= 2
        return level[0]

    return signature(f32x16, vectors), code
