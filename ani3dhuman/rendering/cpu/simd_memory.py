"""Vectors of `simd` from memory and back: rows of arrays, blocks of pictures, columns of tables.

Indices count elements from the start of a C-contiguous array and are never checked nor wrapped.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature

from .simd import LANES, WIDE_LANES, Vector, f32x16, f64x8, intrinsic, places

ROW = 4  # `load_rows` and `store_rows` see a vector as 4x4 pixels
_FOUR = ir.VectorType(ir.FloatType(), ROW)


def _address(context: Any, builder: Any, sig: Any, args: Any, kind: Any, offset: Any = None) -> Any:
    """Pointer to what begins at index args[1] of array args[0], `offset` floats further on."""
    data = context.make_array(sig.args[0])(context, builder, args[0]).data
    index = context.cast(builder, args[1], sig.args[1], types.intp)
    if offset is not None:
        index = builder.add(index, offset)
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _vector_in(array: Any) -> Vector:
    return f32x16 if array.dtype == types.float32 else f64x8


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """16 float32, or 8 float64, from `index` on."""
    kind = _vector_in(array)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, sig, args, kind.llvm), align=kind.element.bitwidth // 8)

    return signature(kind, array, index), code


@intrinsic
def store(typingctx: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write what `load` reads."""
    kind = _vector_in(array)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, sig, args, kind.llvm), align=kind.element.bitwidth // 8)
        return context.get_dummy_value()

    return (signature(types.none, array, index, vector), code) if vector == kind else None


def _rows_of(context: Any, builder: Any, stride: Any, valid: Any) -> list[Any]:
    """Offsets of 8 rows that are `stride` elements long, of which those from `valid` on stand in for row 0."""
    i64 = ir.IntType(64)
    rows = (builder.select(builder.icmp_signed("<", i64(k), valid), i64(k), i64(0)) for k in range(WIDE_LANES))
    return [builder.mul(row, stride) for row in rows]


@intrinsic
def gather(typingctx: Any, array: Any, index: Any, stride: Any, valid: Any) -> Any:
    """One column of 8 rows, as float64: elements index, index + stride, ...; row 0 again from row `valid` on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_value_type(sig.args[0].dtype)
        column = ir.Constant(f64x8.llvm, ir.Undefined)
        step, valid = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3))
        for k, row in enumerate(_rows_of(context, builder, step, valid)):
            number = builder.load(_address(context, builder, sig, args, element, row))
            number = context.cast(builder, number, sig.args[0].dtype, types.float64)
            column = builder.insert_element(column, number, ir.IntType(32)(k))
        return column

    return signature(f64x8, array, index, stride, valid), code


@intrinsic
def scatter(typingctx: Any, array: Any, index: Any, stride: Any, valid: Any, column: Any) -> Any:
    """Write what `gather` reads; lanes from `valid` on must hold what lane 0 holds."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_value_type(sig.args[0].dtype)
        step, valid = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3))
        for k, row in enumerate(_rows_of(context, builder, step, valid)):
            number = builder.extract_element(args[4], ir.IntType(32)(k))
            number = context.cast(builder, number, types.float64, sig.args[0].dtype)
            builder.store(number, _address(context, builder, sig, args, element, row))
        return context.get_dummy_value()

    return signature(types.none, array, index, stride, valid, column), code


@intrinsic
def load_rows(typingctx: Any, array: Any, index: Any, stride: Any) -> Any:
    """4x4 pixels of a picture whose rows are `stride` floats apart, row by row."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        step = context.cast(builder, args[2], sig.args[2], types.intp)
        rows = []
        for r in range(LANES // ROW):
            offset = builder.mul(step, ir.IntType(64)(r))
            rows.append(builder.load(_address(context, builder, sig, args, _FOUR, offset), align=4))
        halves = [builder.shuffle_vector(rows[k], rows[k + 1], places(list(range(8)))) for k in (0, 2)]
        return builder.shuffle_vector(*halves, places(list(range(LANES))))

    return signature(f32x16, array, index, stride), code


@intrinsic
def load_strided(typingctx: Any, array: Any, index: Any, step: Any, stride: Any) -> Any:
    """4x4 pixels `step` floats apart in rows `stride` floats apart."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        step, stride = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3))
        vector = ir.Constant(f32x16.llvm, ir.Undefined)
        for lane in range(LANES):
            column, row = (builder.mul(d, ir.IntType(64)(n)) for d, n in ((step, lane % ROW), (stride, lane // ROW)))
            address = _address(context, builder, sig, args, ir.FloatType(), builder.add(column, row))
            vector = builder.insert_element(vector, builder.load(address), ir.IntType(32)(lane))
        return vector

    return signature(f32x16, array, index, step, stride), code


@intrinsic
def store_rows(typingctx: Any, array: Any, index: Any, stride: Any, vector: Any) -> Any:
    """Write 4x4 pixels of a picture whose rows are `stride` floats apart."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        step = context.cast(builder, args[2], sig.args[2], types.intp)
        for r in range(LANES // ROW):
            lanes = places(list(range(ROW * r, ROW * (r + 1))))
            row = builder.shuffle_vector(args[3], ir.Constant(f32x16.llvm, ir.Undefined), lanes)
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
