"""Products of float32 matrices inside numba functions: a register tile, and sums over many rows by blocks.

Matrices are given by the address of their first number and their strides in floats.

A tile of ROWS x (vectors * WIDTH) results stays in registers while the kernel runs along k (Goto and van de
Geijn 2008, "Anatomy of high-performance matrix multiplication"). BLAS libraries choose their kernels by the
processor's name and miss half of what some can do; these follow the vector width that the processor has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from models.kernels.compiled import compiled
from models.kernels.vectors import FLOAT, LANES, WIDTH, Vector, load, spread, store

#: Rows of a tile: with three vectors a row, accumulators, operands and a broadcast fill the registers.
ROWS = 8 if WIDTH == 16 else 4

#: Rows summed before a tile goes back to memory: a packed panel of them stays in the first cache.
BLOCK = 128


def _tile(rows: int, vectors: int) -> Any:
    """c[m, n] = (c[m, n] if add else 0) + sum_k a[m, k] b[k, n] for m < rows, n < vectors * WIDTH.

    Arguments, in floats: address and row stride of c; address, strides of m and k of a; address and row
    stride of b; number of k; add.
    """

    @intrinsic
    def tile(typingctx, c, c_row, a, a_row, a_k, b, b_row, count, add):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            c, c_row, a, a_row, a_k, b, b_row, count, add = arguments
            word = count.type
            pointer = FLOAT.as_pointer()
            a, b, c = (builder.inttoptr(address, pointer) for address in (a, b, c))
            a_rows = [builder.gep(a, [builder.mul(a_row, word(row))]) for row in range(rows)]
            c_rows = [builder.gep(c, [builder.mul(c_row, word(row))]) for row in range(rows)]
            entry = builder.block
            with builder.if_then(add):
                loaded = [
                    load(builder, builder.gep(c_rows[row], [word(vector * WIDTH)])).value
                    for row in range(rows)
                    for vector in range(vectors)
                ]
                loading = builder.block
            start = []
            for value in loaded:
                phi = builder.phi(LANES)
                phi.add_incoming(spread(0.0), entry)
                phi.add_incoming(value, loading)
                start.append(phi)
            before = builder.block
            body = builder.append_basic_block("along_k")
            after = builder.append_basic_block("after_k")
            builder.cbranch(builder.icmp_signed(">", count, word(0)), body, after)
            builder.position_at_end(body)
            index = builder.phi(word)
            sums = [builder.phi(LANES) for _ in start]
            offset_a, offset_b = builder.mul(index, a_k), builder.gep(b, [builder.mul(index, b_row)])
            right = [
                load(builder, builder.gep(offset_b, [word(vector * WIDTH)])) for vector in range(vectors)
            ]
            added = []
            for row in range(rows):
                element = builder.load(builder.gep(a_rows[row], [offset_a]))
                first = builder.insert_element(ir.Constant(LANES, ir.Undefined), element, ir.IntType(32)(0))
                zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
                left = Vector(builder, builder.shuffle_vector(first, ir.Constant(LANES, ir.Undefined), zeros))
                for vector in range(vectors):
                    total = Vector(builder, sums[row * vectors + vector])
                    added.append(left.times_plus(right[vector], total).value)
            following = builder.add(index, word(1))
            index.add_incoming(word(0), before)
            index.add_incoming(following, builder.block)
            for phi, begin, value in zip(sums, start, added, strict=True):
                phi.add_incoming(begin, before)
                phi.add_incoming(value, builder.block)
            last = builder.block
            builder.cbranch(builder.icmp_signed("<", following, count), body, after)
            builder.position_at_end(after)
            for number, (begin, value) in enumerate(zip(start, added, strict=True)):
                final = builder.phi(LANES)
                final.add_incoming(begin, before)
                final.add_incoming(value, last)
                start[number] = final
            for number, value in enumerate(start):
                row, vector = divmod(number, vectors)
                store(Vector(builder, value), builder.gep(c_rows[row], [word(vector * WIDTH)]))
            return context.get_dummy_value()

        whole = types.intp
        return types.void(whole, whole, whole, whole, whole, whole, whole, whole, types.boolean), codegen

    return tile


_tile_1, _tile_2, _tile_3 = (_tile(ROWS, vectors) for vectors in (1, 2, 3))
_row_1, _row_2, _row_3 = (_tile(1, vectors) for vectors in (1, 2, 3))


def _copy(lanes: int) -> Any:
    """to[k, :lanes] = source[k, :lanes]; addresses, and row strides in floats.

    numba's own loops over array elements are not made into vector instructions: ten times slower.
    """

    @intrinsic
    def copy(typingctx, to, to_row, source, source_row, count):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            to, to_row, source, source_row, count = arguments
            whole = ir.VectorType(FLOAT, lanes).as_pointer()
            to, source = (builder.inttoptr(address, FLOAT.as_pointer()) for address in (to, source))
            with cgutils.for_range(builder, count) as loop:
                left, right = (
                    builder.bitcast(builder.gep(base, [builder.mul(loop.index, stride)]), whole)
                    for base, stride in ((to, to_row), (source, source_row))
                )
                builder.store(builder.load(right, align=4), left, align=4)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 5), codegen

    return copy


_copy_left, _copy_1, _copy_2, _copy_3 = (_copy(lanes) for lanes in (ROWS, WIDTH, 2 * WIDTH, 3 * WIDTH))


@compiled
def copy(vectors, to, source, source_row, count):  # type: ignore[no-untyped-def]
    """`count` rows of `vectors` to one after the other."""
    if vectors == 3:
        _copy_3(to, 3 * WIDTH, source, source_row, count)
    elif vectors == 2:
        _copy_2(to, 2 * WIDTH, source, source_row, count)
    else:
        _copy_1(to, WIDTH, source, source_row, count)


@compiled
def panel(rest: int) -> int:
    """Vectors of the next panel when `rest` columns, a multiple of WIDTH, are left: 3, and 2 + 2 for four."""
    vectors = rest // WIDTH
    if vectors == 4:
        return 2
    return min(vectors, 3)


@compiled
def tile(vectors, c, c_row, a, a_row, a_k, b, b_row, count, add):  # type: ignore[no-untyped-def]
    """ROWS rows of a panel."""
    if vectors == 3:
        _tile_3(c, c_row, a, a_row, a_k, b, b_row, count, add)
    elif vectors == 2:
        _tile_2(c, c_row, a, a_row, a_k, b, b_row, count, add)
    else:
        _tile_1(c, c_row, a, a_row, a_k, b, b_row, count, add)


@compiled
def row(vectors, c, a, b, b_row, count):  # type: ignore[no-untyped-def]
    """One row of a panel."""
    if vectors == 3:
        _row_3(c, 0, a, 0, 1, b, b_row, count, False)
    elif vectors == 2:
        _row_2(c, 0, a, 0, 1, b, b_row, count, False)
    else:
        _row_1(c, 0, a, 0, 1, b, b_row, count, False)


@compiled
def packed(matrix):  # type: ignore[no-untyped-def]
    """(K, N) float32, N a multiple of WIDTH -> its panels one after the other, each row by row."""
    count, columns = matrix.shape
    result = np.empty(count * columns, dtype=np.float32)
    first = 0
    while first < columns:
        vectors = panel(columns - first)
        to = result.ctypes.data + 4 * first * count
        copy(vectors, to, matrix.ctypes.data + 4 * first, columns, count)
        first += vectors * WIDTH
    return result


@compiled
def multiply(c, c_row, a, a_row, b, rows, columns, count):  # type: ignore[no-untyped-def]
    """c (rows, columns) = a (rows, count) b (count, columns); b is the address of a `packed` matrix.

    Where the rows are no multiple of ROWS the last tile overlaps the one before, and writes the same again.
    """
    first = 0
    while first < columns:
        vectors = panel(columns - first)
        wide, right = vectors * WIDTH, b + 4 * first * count
        if rows < ROWS:
            for m in range(rows):
                row(vectors, c + 4 * (m * c_row + first), a + 4 * m * a_row, right, wide, count)
        else:
            done = 0
            while done < rows:
                m = min(done, rows - ROWS)
                left = a + 4 * m * a_row
                tile(vectors, c + 4 * (m * c_row + first), c_row, left, a_row, 1, right, wide, count, False)
                done += ROWS
        first += wide


@compiled
def add_products(c, a, b, rows, height, total, first, last):  # type: ignore[no-untyped-def]
    """c[:, first:last] += a^T b[:, first:last] for a (rows, height), b (rows, total): in blocks of rows.

    c, a and b are addresses of whole arrays. height is a multiple of ROWS, first and last of WIDTH. Both
    blocks are packed before they are multiplied.
    """
    right = np.empty(BLOCK * (last - first), dtype=np.float32)
    left = np.empty(BLOCK * ROWS, dtype=np.float32)
    begin = 0
    while begin < rows:
        count = min(BLOCK, rows - begin)
        column = first
        while column < last:
            vectors = panel(last - column)
            to = right.ctypes.data + 4 * (column - first) * count
            copy(vectors, to, b + 4 * (begin * total + column), total, count)
            column += vectors * WIDTH
        for m in range(0, height, ROWS):
            _copy_left(left.ctypes.data, ROWS, a + 4 * (begin * height + m), height, count)
            column = first
            while column < last:
                vectors = panel(last - column)
                tile(
                    vectors,
                    c + 4 * (m * total + column),
                    total,
                    left.ctypes.data,
                    1,
                    ROWS,
                    right.ctypes.data + 4 * (column - first) * count,
                    vectors * WIDTH,
                    count,
                    True,
                )
                column += vectors * WIDTH
        begin += count
