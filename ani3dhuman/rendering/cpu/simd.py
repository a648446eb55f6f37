"""Vectors as numba types, so that kernels say what runs in SIMD instead of hoping that LLVM sees it.

A kernel writes `fma(u, u, v * v)` on vectors as it would on numbers; every operation becomes one LLVM vector
instruction, which is one AVX-512 instruction, two of AVX or four of NEON. Comparisons give masks, `select` picks by
mask, `bits` turns a mask into an integer. Nothing here is reordered: the same operations give the same bits in every
kernel that uses them.

There are 16 float32 (pixels of a block) and 8 float64 (Gaussians being projected). `simd_memory` loads and stores them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numba.extending
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import models, overload, register_model

intrinsic: Any = numba.extending.intrinsic  # what it returns is called without the typing context


class Vector(types.Type):
    """`lanes` numbers of one type."""

    def __init__(self, element: types.Float, lanes: int) -> None:
        self.element, self.lanes = element, lanes
        self.llvm = ir.VectorType(ir.FloatType() if element.bitwidth == 32 else ir.DoubleType(), lanes)
        self.integers = ir.VectorType(ir.IntType(element.bitwidth), lanes)
        super().__init__(name=f"{element}x{lanes}")


class Mask(types.Type):
    """`lanes` truth values, what comparing two vectors gives."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.llvm = ir.VectorType(ir.IntType(1), lanes)
        super().__init__(name=f"mask{lanes}")


f32x16 = Vector(types.float32, 16)
f64x8 = Vector(types.float64, 8)
LANES, WIDE_LANES = f32x16.lanes, f64x8.lanes


@register_model(Vector)
@register_model(Mask)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.llvm)


def _broadcast(builder: Any, value: Any, kind: Any) -> Any:
    """A number in all lanes of LLVM vector type `kind`."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, places([0] * kind.count))


def places(lanes: list[int]) -> Any:
    """The constant that tells `shuffle_vector` where each lane comes from."""
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)


def _as_vector(context: Any, builder: Any, value: Any, kind: types.Type, wanted: Vector) -> Any:
    """A vector as it is, a number in all lanes."""
    if kind == wanted:
        return value
    return _broadcast(builder, context.cast(builder, value, kind, wanted.element), wanted.llvm)


def _common(kinds: tuple[Any, ...]) -> Vector | None:
    """The vector type of operands that are vectors of one type and plain numbers; None for anything else."""
    vectors = {kind for kind in kinds if isinstance(kind, Vector)}
    numbers = all(isinstance(kind, (Vector, types.Float, types.Integer)) for kind in kinds)
    return vectors.pop() if numbers and len(vectors) == 1 else None


def _call(builder: Any, name: str, kind: Any, *arguments: Any) -> Any:
    """An LLVM intrinsic on vectors of LLVM type `kind`."""
    width = "f32" if isinstance(kind.element, ir.FloatType) else "f64"
    function = ir.FunctionType(kind, [kind] * len(arguments))
    full_name = f"llvm.{name}.v{kind.count}{width}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, full_name), arguments)


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, in one rounding where the processor has such an instruction."""
    return _call(builder, "fmuladd", a.type, a, b, c)


def _operation(count: int, emit: Callable[..., Any], about: str, compares: bool = False) -> Any:
    """A function of `count` vectors or numbers, at least one of them a vector."""

    def typed(*kinds: Any) -> Any:
        wanted = _common(kinds)
        if wanted is None:
            return None

        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            operands = zip(args, sig.args, strict=True)
            return emit(builder, *(_as_vector(context, builder, v, k, wanted) for v, k in operands))

        return signature(Mask(wanted.lanes) if compares else wanted, *kinds), code

    if count == 1:

        def build(typingctx: Any, a: Any) -> Any:
            return typed(a)
    elif count == 2:

        def build(typingctx: Any, a: Any, b: Any) -> Any:  # type: ignore[misc]
            return typed(a, b)
    else:

        def build(typingctx: Any, a: Any, b: Any, c: Any) -> Any:  # type: ignore[misc]
            return typed(a, b, c)

    build.__doc__ = about
    return intrinsic(build)


def _operator(symbol: Any, emit: Callable[..., Any], compares: bool = False) -> None:
    call = _operation(2, emit, symbol.__name__, compares)

    def implementation(a, b):  # type: ignore[no-untyped-def]  # numba compares its signature with the lambda's
        return None if _common((a, b)) is None else lambda a, b: call(a, b)

    overload(symbol)(implementation)


def _compare(sign: str) -> Callable[..., Any]:
    return lambda builder, a, b: builder.fcmp_ordered(sign, a, b)


_operator(operator.add, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))
_operator(operator.lt, _compare("<"), compares=True)
_operator(operator.le, _compare("<="), compares=True)
_operator(operator.gt, _compare(">"), compares=True)
_operator(operator.ge, _compare(">="), compares=True)

minimum = _operation(2, lambda b, x, y: b.select(b.fcmp_ordered("<", x, y), x, y), "The smaller, by lane.")
maximum = _operation(2, lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y), "The larger, by lane.")
fma = _operation(3, _fused, "a b + c.")
fnma = _operation(3, lambda b, x, y, z: _fused(b, b.fneg(x), y, z), "c - a b.")


sqrt = _operation(1, lambda b, x: _call(b, "sqrt", x.type, x), "Square root, by lane.")
ceil = _operation(1, lambda b, x: _call(b, "ceil", x.type, x), "The next integer up, by lane.")
floor = _operation(1, lambda b, x: _call(b, "floor", x.type, x), "The next integer down, by lane.")


@intrinsic
def splat(typingctx: Any, number: Any) -> Any:
    """A float32 in 16 lanes."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _as_vector(context, builder, args[0], sig.args[0], f32x16)

    return signature(f32x16, number), code


@intrinsic
def splat64(typingctx: Any, number: Any) -> Any:
    """A float64 in 8 lanes."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _as_vector(context, builder, args[0], sig.args[0], f64x8)

    return signature(f64x8, number), code


@intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """a where the mask is set, else b."""
    wanted = _common((a, b))
    if wanted is None:
        return None

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        operands = zip(args[1:], sig.args[1:], strict=True)
        return builder.select(args[0], *(_as_vector(context, builder, v, k, wanted) for v, k in operands))

    return signature(wanted, mask, a, b), code


@intrinsic
def both(typingctx: Any, a: Any, b: Any) -> Any:
    """Where two masks are set."""
    return signature(a, a, b), lambda context, builder, sig, args: builder.and_(*args)


@intrinsic
def bits(typingctx: Any, mask: Any) -> Any:
    """uint64 with bit k set where lane k of the mask is."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(sig.args[0].lanes)), ir.IntType(64))

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
        sign = ir.Constant(f32x16.integers, [0x80000000] * LANES)
        return builder.bitcast(builder.or_(builder.bitcast(args[0], f32x16.integers), sign), f32x16.llvm)

    return signature(f32x16, a), code


@intrinsic
def shift_exponent(typingctx: Any, a: Any, n: Any) -> Any:
    """a 2^n, where n holds integers in the low bits of a float (an integer plus 1.5 2^23)."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        high = builder.shl(builder.bitcast(args[1], f32x16.integers), ir.Constant(f32x16.integers, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(args[0], f32x16.integers), high), f32x16.llvm)

    return signature(f32x16, a, n), code


@intrinsic
def spans(typingctx: Any, ends: Any) -> Any:
    """uint64 of 8 rows of 8 bits: row r has bits first..last set, from whole numbers in lanes 8 + r and r.

    Ends beyond 0..7 are cut off; a row whose last is before its first is empty.
    """

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.IntType(32), 8)

        def constant(number: int) -> Any:
            return ir.Constant(kind, [number] * 8)

        whole = builder.fptosi(args[0], f32x16.integers)
        last = builder.shuffle_vector(whole, whole, places(list(range(8))))
        first = builder.shuffle_vector(whole, whole, places(list(range(8, 16))))
        # shifting by 1 more than the highest bit, 8, is fine in 32 bits, so the ends are cut to 0..8 after last + 1
        after = builder.add(last, constant(1))
        cut = []
        for number in (after, first):
            number = builder.select(builder.icmp_signed("<", number, constant(0)), constant(0), number)
            cut.append(builder.select(builder.icmp_signed(">", number, constant(8)), constant(8), number))
        upto, below = (builder.sub(builder.shl(constant(1), number), constant(1)) for number in cut)
        rows = builder.and_(upto, builder.not_(below))
        return builder.bitcast(builder.trunc(rows, ir.VectorType(ir.IntType(8), 8)), ir.IntType(64))

    return signature(types.uint64, ends), code


@intrinsic
def reciprocal(typingctx: Any, a: Any) -> Any:
    """1 / a to within two units in the last place; AVX-512 estimates and refines, since its division is slow."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one = ir.Constant(f32x16.llvm, [1.0] * LANES)
        _, _, features = context.codegen().magic_tuple()  # what is compiled for, which the user may have lowered
        if "+avx512f" not in features.split(","):
            return builder.fdiv(one, args[0])
        kind = ir.FunctionType(f32x16.llvm, [f32x16.llvm, f32x16.llvm, ir.IntType(16)])
        estimate = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.rcp14.ps.512")
        near = builder.call(estimate, [args[0], ir.Constant(f32x16.llvm, ir.Undefined), ir.IntType(16)(0xFFFF)])
        error = _fused(builder, builder.fneg(args[0]), near, one)
        return _fused(builder, error, near, near)

    return signature(f32x16, a), code


@intrinsic
def first_lanes(typingctx: Any, count: Any) -> Any:
    """Mask of 8 with the first `count` lanes set."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        count = _broadcast(builder, context.cast(builder, args[0], sig.args[0], types.int64), f64x8.integers)
        return builder.icmp_signed("<", ir.Constant(f64x8.integers, list(range(WIDE_LANES))), count)

    return signature(Mask(WIDE_LANES), count), code


@intrinsic
def exponent_and_mantissa(typingctx: Any, a: Any) -> Any:
    """Integer n and m in [1, 2) with a = m 2^n, for normal positive float64."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = f64x8.integers

        def constant(number: int) -> Any:
            return ir.Constant(kind, [number] * WIDE_LANES)

        whole = builder.bitcast(args[0], kind)
        exponent = builder.sub(builder.lshr(whole, constant(52)), constant(1023))
        mantissa = builder.or_(builder.and_(whole, constant((1 << 52) - 1)), constant(1023 << 52))
        pair = (builder.sitofp(exponent, f64x8.llvm), builder.bitcast(mantissa, f64x8.llvm))
        return context.make_tuple(builder, sig.return_type, pair)

    return signature(types.UniTuple(f64x8, 2), a), code


@intrinsic
def sums(typingctx: Any, vectors: Any) -> Any:
    """Lane k is the sum over vector k of a tuple of up to 16; lanes beyond the tuple are 0.

    Two vectors are folded into one that holds both halved, then two of those, and so on: log2(16) rounds, about a
    third of the work of summing each by itself.
    """
    count = len(vectors)

    def fold(builder: Any, a: Any, b: Any, stride: int) -> Any:
        low = [(lane & stride and LANES) + (lane & ~stride) for lane in range(LANES)]
        halves = (places(low), places([lane + stride for lane in low]))
        return builder.fadd(*(builder.shuffle_vector(a, b, half) for half in halves))

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = ir.Constant(f32x16.llvm, [0.0] * LANES)
        level = [builder.extract_value(args[0], k) if k < count else None for k in range(LANES)]
        stride = LANES // 2
        while stride:
            pairs = zip(level[:stride], level[stride:], strict=True)
            level = [None if a is None else fold(builder, a, zero if b is None else b, stride) for a, b in pairs]
            stride //= 2
        return level[0]

    return signature(f32x16, vectors), code
