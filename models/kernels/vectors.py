"""Vectors of float32 as values inside numba functions: what the fast CPU kernels are written in.

numba compiles loops of scalars and leaves it to LLVM whether they become vector instructions; with several
arrays and without Intel's SVML they do not. Here the body of a loop is written for a vector of WIDTH lanes
and emitted as LLVM's own vector types, so it needs no compiler on the user's machine and no luck. A `Vector`
is an LLVM value while a kernel is being compiled, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils

_FEATURES = binding.get_host_cpu_features()

#: Lanes of float32: AVX-512, AVX2 with FMA, or NEON and the rest.
WIDTH = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx2") and _FEATURES.get("fma") else 4

FLOAT = ir.FloatType()
LANES = ir.VectorType(FLOAT, WIDTH)
BITS = ir.VectorType(ir.IntType(32), WIDTH)

#: ln 2 in two parts, so that n * HIGH is exact for the n that occur.
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.4286068203094172e-06


class Vector:
    """WIDTH lanes; arithmetic emits instructions at the builder's place. A number stands for all lanes."""

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder = builder
        self.value = value

    def _like(self, other: Vector | float) -> Any:
        return other.value if isinstance(other, Vector) else spread(other)

    def _made(self, value: Any) -> Vector:
        return Vector(self.builder, value)

    def __add__(self, other: Vector | float) -> Vector:
        return self._made(self.builder.fadd(self.value, self._like(other)))

    def __sub__(self, other: Vector | float) -> Vector:
        return self._made(self.builder.fsub(self.value, self._like(other)))

    def __rsub__(self, other: float) -> Vector:
        return self._made(self.builder.fsub(self._like(other), self.value))

    def __mul__(self, other: Vector | float) -> Vector:
        return self._made(self.builder.fmul(self.value, self._like(other)))

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._made(self.builder.fdiv(self.value, self._like(other)))

    def __rtruediv__(self, other: float) -> Vector:
        return self._made(self.builder.fdiv(self._like(other), self.value))

    __radd__, __rmul__ = __add__, __mul__

    def times_plus(self, factor: Vector | float, addend: Vector | float) -> Vector:
        """self * factor + addend in one rounding."""
        kind = ir.FunctionType(LANES, [LANES] * 3)
        fma = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fma.v{WIDTH}f32")
        return self._made(self.builder.call(fma, [self.value, self._like(factor), self._like(addend)]))

    def clamp(self, low: float, high: float) -> Vector:
        """Between low and high; NaN stays NaN, so that a diverged fit is seen."""
        builder = self.builder
        under = builder.fcmp_ordered("<", self.value, spread(low))
        value = builder.select(under, spread(low), self.value)
        over = builder.fcmp_ordered(">", value, spread(high))
        return self._made(builder.select(over, spread(high), value))


def spread(number: float) -> ir.Constant:
    """A constant in all lanes."""
    return ir.Constant(LANES, [ir.Constant(FLOAT, number)] * WIDTH)


def load(builder: ir.IRBuilder, pointer: Any) -> Vector:
    """WIDTH neighbours from a float pointer of any alignment."""
    return Vector(builder, builder.load(builder.bitcast(pointer, LANES.as_pointer()), align=4))


def store(vector: Vector, pointer: Any) -> None:
    """WIDTH neighbours to a float pointer of any alignment."""
    builder = vector.builder
    builder.store(vector.value, builder.bitcast(pointer, LANES.as_pointer()), align=4)


def polynomial(x: Vector, coefficients: Sequence[float]) -> Vector:
    """Horner's scheme; the highest power comes first."""
    result = Vector(x.builder, spread(coefficients[0]))
    for coefficient in coefficients[1:]:
        result = result.times_plus(x, coefficient)
    return result


def _power_of_two(builder: ir.IRBuilder, whole: Vector) -> Vector:
    """2^n for whole n in [-126, 127]: n goes into the exponent's bits."""
    exponent = builder.fptosi(whole.value, BITS)
    ones = ir.Constant(BITS, [127] * WIDTH)
    shift = ir.Constant(BITS, [23] * WIDTH)
    return Vector(builder, builder.bitcast(builder.shl(builder.add(exponent, ones), shift), LANES))


#: Of (e^r - 1) / r on |r| <= ln 2 / 2, its Taylor series: the next term is below 2^-27 of the result.
_EXPM1 = [1.0 / math.factorial(power) for power in range(8, 0, -1)]


def _reduced(x: Vector) -> tuple[Vector, Vector]:
    """2^n and e^r - 1 of x = n ln 2 + r."""
    builder = x.builder
    scaled = (x * (1.0 / math.log(2.0))).value
    # Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
    big = spread(12582912.0)
    whole = Vector(builder, builder.fsub(builder.fadd(scaled, big), big))
    rest = whole.times_plus(-LN2_HIGH, x)
    rest = whole.times_plus(-LN2_LOW, rest)
    return _power_of_two(builder, whole), rest * polynomial(rest, _EXPM1)


def expm1(x: Vector) -> Vector:
    """e^x - 1 for x in [-87, 87], accurate near 0 too."""
    power, small = _reduced(x.clamp(-87.0, 87.0))
    return power.times_plus(small, power - 1.0)


def sigmoid(x: Vector) -> Vector:
    """1 / (1 + e^-x)."""
    return sigmoid_and_rest(x)[0]


def sigmoid_and_rest(x: Vector) -> tuple[Vector, Vector]:
    """sigmoid(x) and 1 - sigmoid(x), which does not cancel where the first is near 1."""
    power, small = _reduced((x * -1.0).clamp(-87.0, 87.0))
    exponential = power.times_plus(small, power)
    opened = 1.0 / (exponential + 1.0)
    return opened, exponential * opened


def tanh(x: Vector) -> Vector:
    """t / (t + 2) with t = e^(2x) - 1, which does not cancel near 0."""
    t = expm1((x + x).clamp(-30.0, 30.0))
    return t / (t + 2.0)


def softplus(x: Vector) -> Vector:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), of which the logarithm is exact near 0 too."""
    builder = x.builder
    negative = builder.fcmp_ordered("<", x.value, spread(0.0))
    above = Vector(builder, builder.select(negative, spread(0.0), x.value))
    size = Vector(builder, builder.select(negative, (x * -1.0).value, x.value))
    power, small = _reduced((size * -1.0).clamp(-87.0, 87.0))
    exponential = power.times_plus(small, power)
    return above + log(exponential + 1.0, exponential * -1.0)


#: Of atanh(s) / s in s^2, highest power first; s^2 < 0.0295.
_ATANH = [1.0 / (2 * power + 1) for power in range(6, -1, -1)]


def log(y: Vector, below_one: Vector) -> Vector:
    """log y for a normal y > 0, and below_one = 1 - y: with both it is exact near 1 and near 0.

    y = 2^n m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s), s = (m - 1) / (m + 1).
    """
    builder = y.builder
    bits = builder.bitcast(y.value, BITS)
    root = ir.Constant(BITS, [0x3F3504F3] * WIDTH)  # sqrt(1/2)
    mask = ir.Constant(BITS, [0xFF800000 - (1 << 32)] * WIDTH)
    exponent = builder.and_(builder.sub(bits, root), mask)
    mantissa = Vector(builder, builder.bitcast(builder.sub(bits, exponent), LANES))
    shift = ir.Constant(BITS, [23] * WIDTH)
    whole_bits = builder.ashr(exponent, shift)
    whole = Vector(builder, builder.sitofp(whole_bits, LANES))
    zero = builder.icmp_signed("==", whole_bits, ir.Constant(BITS, [0] * WIDTH))
    above = Vector(builder, builder.select(zero, (below_one * -1.0).value, (mantissa - 1.0).value))
    s = above / (above + 2.0)
    logarithm = (s + s) * polynomial(s * s, _ATANH)
    return whole.times_plus(LN2_HIGH, whole.times_plus(LN2_LOW, logarithm))
