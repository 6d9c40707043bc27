"""The arithmetic of `harness.video.convert_numba`, compiled by Numba: one thread, bit for bit OpenCV's.

Numba computes in 64 bits, and a vector holds an eighth as many of those as of bytes. The inner steps are therefore written
as LLVM's vector instructions, in the widths they need: `_convert`, `_across` and `_down` each process one vector. They read
and write whole vectors, so that every array except a file's own memory has space for one more.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from harness.video.numba_cache import kernel

_PLANE = types.Array(types.uint8, 2, "A", readonly=True)
"""A plane of any row length, read-only or not."""
_OUT = types.Array(types.uint8, 3, "C")
_TABLE, _TABLES, _WEIGHTS, _ROWS, _RING = (
    types.Array(kind, axes, "C")
    for kind, axes in ((types.int64, 1), (types.int64, 2), (types.int16, 1), (types.int16, 2), (types.int16, 3))
)


def _compiled(*kinds):
    return kernel(types.void(*kinds))


PAIRS = 16
"""Columns of chroma that are converted at once, and twice as many of luma."""
ACROSS, DOWN = 16, 32
"""Pixels that are resized at once: along a row, and between two rows."""
FINE = 7
"""Fractional bits of a row's pixels, before and after `_across`: the most for which differences fit into 16 bits."""

# ITU-R BT.601 for OpenCV: (Y - 16), U - 128 and V - 128 into R, G and B, in 2^-20.
_Y, _U_TO_B, _U_TO_G, _V_TO_G, _V_TO_R, _BITS = 1220542, 2116026, -409993, -852492, 1673527, 20


class _Vector:
    """A vector of integers of one width; operators with another vector, or with a number, emit code."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def _with(self, other, operation):
        if not isinstance(other, _Vector):
            other = _Vector(self.builder, ir.Constant(self.value.type, [other] * self.value.type.count))
        return _Vector(self.builder, operation(self.value, other.value))

    def __add__(self, other):
        return self._with(other, self.builder.add)

    def __sub__(self, other):
        return self._with(other, self.builder.sub)

    def __mul__(self, other):
        return self._with(other, self.builder.mul)

    def __and__(self, other):
        return self._with(other, self.builder.and_)

    def __or__(self, other):
        return self._with(other, self.builder.or_)

    def __lshift__(self, bits):
        return self._with(bits, self.builder.shl)

    def __rshift__(self, bits):
        return self._with(bits, self.builder.ashr)

    def unsigned_shift(self, bits):
        return self._with(bits, self.builder.lshr)

    def at_least(self, limit):
        return self._with(limit, self._choice(">"))

    def at_most(self, limit):
        return self._with(limit, self._choice("<"))

    def _choice(self, order):
        return lambda left, right: self.builder.select(self.builder.icmp_signed(order, left, right), left, right)

    def wide(self, bits, *, signed=True):
        extend = self.builder.sext if signed else self.builder.zext
        return _Vector(self.builder, extend(self.value, _vector(bits, self.value.type.count)))

    def upper_half(self, other):
        """The upper 16 bits of products of signed 16-bit numbers, for which processors have an instruction."""
        return (self.wide(32) * other.wide(32)).unsigned_shift(16).narrow(16)

    def narrow(self, bits):
        return _Vector(self.builder, self.builder.trunc(self.value, _vector(bits, self.value.type.count)))


def _vector(bits, count):
    return ir.VectorType(ir.IntType(bits), count)


class _Arrays:
    """The array arguments of an intrinsic, read and written one vector at a time from any index along their last axis.

    Addresses are computed here: a view of a row costs as much as converting a third of it.
    """

    def __init__(self, context, builder, signature, args):
        self.context, self.builder, self.types, self.args = context, builder, signature.args, args

    def _pointer(self, argument, place, kind):
        builder = self.builder
        array = self.context.make_array(self.types[argument])(self.context, builder, self.args[argument])
        address = builder.ptrtoint(array.data, place[0].type)
        for axis, index in enumerate(place):
            stride = builder.extract_value(array.strides, axis)
            address = builder.add(address, builder.mul(index, stride))
        return builder.inttoptr(address, kind.as_pointer())

    def load(self, argument, *place, bits, count):
        value = self.builder.load(self._pointer(argument, place, _vector(bits, count)))
        value.align = 1
        return _Vector(self.builder, value)

    def store(self, vector, argument, *place):
        self.builder.store(vector.value, self._pointer(argument, place, vector.value.type)).align = 1

    def everywhere(self, argument, bits, count):
        """A number in every lane."""
        kind = _vector(bits, count)
        number = self.builder.trunc(self.args[argument], kind.element)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(_vector(32, count), [0] * count)
        return _Vector(self.builder, self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), lanes))


_INDEX = types.intp
_ZERO, *_COLOURS = (ir.Constant(ir.IntType(64), number) for number in (0, 0, 1, 2))


def _converter(bits):
    """`PAIRS` pairs of luma in a `row`, and their chroma from column `at` -> a buffer (3, W) int16 from `column`, in 2^-bits."""

    @intrinsic
    def convert(typing, luma, u, v, row, at, buffer, column):
        def code(context, builder, signature, args):
            arrays, row, at, column = _Arrays(context, builder, signature, args), args[3], args[4], args[6]
            bit = ir.Constant(row.type, 1)
            half_row, luma_at = builder.ashr(row, bit), builder.shl(at, bit)
            pairs = arrays.load(0, row, luma_at, bits=16, count=PAIRS).wide(32, signed=False)
            u, v = (arrays.load(n, half_row, at, bits=8, count=PAIRS).wide(32, signed=False) for n in (1, 2))
            half = 1 << (_BITS - 1)
            chroma = (
                v * _V_TO_R + (half - 128 * _V_TO_R),
                u * _U_TO_G + v * _V_TO_G + (half - 128 * (_U_TO_G + _V_TO_G)),
                u * _U_TO_B + (half - 128 * _U_TO_B),
            )
            lumas = [((luma - 16).at_least(0)) * _Y for luma in (pairs & 255, pairs.unsigned_shift(8))]
            for colour, tint in zip(_COLOURS, chroma, strict=True):
                even, odd = (((light + tint) >> _BITS).at_least(0).at_most(255) << bits for light in lumas)
                both = builder.bitcast((even | (odd << 16)).value, _vector(16, 2 * PAIRS))
                arrays.store(_Vector(builder, both), 5, colour, column)
            return context.get_dummy_value()

        return types.void(luma, u, v, _INDEX, _INDEX, buffer, _INDEX), code

    return convert


_convert, _convert_fine = _converter(0), _converter(FINE)


@intrinsic
def _across(typing, buffer, colour, at, nearer, weights, ring, slot, x):
    """`ACROSS` pixels from `x` of a resized row, made of those from `at` of the buffer and their right neighbours, in 2^-FINE.

    nearer: -1 where the right one is nearer, else 0. weights: of the right one beyond the nearer one, in 2^-16.
    """

    def code(context, builder, signature, args):
        arrays, (colour, at, slot, x) = _Arrays(context, builder, signature, args), (args[k] for k in (1, 2, 6, 7))
        left = arrays.load(0, colour, at, bits=16, count=ACROSS)
        right = arrays.load(0, colour, builder.add(at, ir.Constant(at.type, 1)), bits=16, count=ACROSS)
        step = right - left
        base = left + (step & arrays.load(3, x, bits=16, count=ACROSS))
        moved = base + step.upper_half(arrays.load(4, x, bits=16, count=ACROSS))
        arrays.store(moved, 5, slot, colour, x)
        return context.get_dummy_value()

    return types.void(buffer, _INDEX, _INDEX, nearer, weights, ring, _INDEX, _INDEX), code


@intrinsic
def _down(typing, ring, above, below, upper, lower, out, y, x):
    """`DOWN` pixels from `x` of row `y`, between two rows of the ring, by the weights of both in 2^-11 -> bytes, RGB by RGB."""

    def code(context, builder, signature, args):
        arrays, slots, (y, x) = _Arrays(context, builder, signature, args), args[1:3], args[6:8]
        weights = [arrays.everywhere(weight, 16, DOWN) for weight in (3, 4)]
        colours = []
        for colour in _COLOURS:
            first, second = (
                arrays.load(0, slot, colour, x, bits=16, count=DOWN).upper_half(weight)
                for slot, weight in zip(slots, weights, strict=True)
            )
            colours.append((first + second + 2) >> 2)
        arrays.store(_interleaved(colours), 5, y, x, _ZERO)
        return context.get_dummy_value()

    return types.void(ring, _INDEX, _INDEX, _INDEX, _INDEX, out, _INDEX, _INDEX), code


@intrinsic
def _interleave(typing, buffer, at, out, y, x):
    """`DOWN` pixels from `at` of the buffer -> bytes, RGB by RGB, from pixel `x` of row `y`."""

    def code(context, builder, signature, args):
        arrays, at, (y, x) = _Arrays(context, builder, signature, args), args[1], args[3:5]
        colours = [arrays.load(0, colour, at, bits=16, count=DOWN) for colour in _COLOURS]
        arrays.store(_interleaved(colours), 2, y, x, _ZERO)
        return context.get_dummy_value()

    return types.void(buffer, _INDEX, out, _INDEX, _INDEX), code


def _interleaved(colours):
    """Three vectors of 16 bits -> one of bytes that takes from each in turn."""
    builder, count = colours[0].builder, colours[0].value.type.count
    red, green, blue = (colour.narrow(8).value for colour in colours)
    both = ir.Constant(_vector(32, 2 * count), list(range(2 * count)))
    order = [lane for x in range(count) for lane in (x, count + x, 2 * count + x)]
    return _Vector(
        builder,
        builder.shuffle_vector(
            builder.shuffle_vector(red, green, both),
            builder.shuffle_vector(blue, blue, both),
            ir.Constant(_vector(32, 3 * count), order),
        ),
    )


@_compiled(_PLANE, _PLANE, _PLANE, _TABLES, types.intp, types.intp, _TABLE, _ROWS, _OUT)
def crop(luma, u, v, spans, top, skipped, offsets, buffer, out):
    """Part of a frame, from row `top` -> out (h, w, 3) uint8. spans: (columns of chroma to convert from, columns of the buffer
    (3, W) int16 to write to), the first `skipped` of which are not used; offsets: starts of whole vectors in a row."""
    for y in range(len(out)):
        for i in range(spans.shape[1]):
            _convert(luma, u, v, top + y, spans[0, i], buffer, spans[1, i])
        for x in offsets:
            _interleave(buffer, skipped + x, out, y, x)


@_compiled(
    *(_PLANE, _PLANE, _PLANE, _TABLES),
    *(_TABLES, _WEIGHTS, _WEIGHTS),
    *(_TABLES, _ROWS, _TABLE),
    *(_ROWS, _RING, _OUT),
)
def resize(luma, u, v, spans, blocks, nearer, weights, rows, heights, offsets, buffer, ring, out):
    """Part of a resized frame -> out (h, w, 3) uint8, each row made of two `rows` (2, h) of the frame.

    spans, offsets: as in `crop`; blocks: (columns of the buffer to resize from, columns to write to), by `nearer` and
    `weights` (w,) int16 of `_across`; heights (2, h) int16: the weights of both rows; ring (2, 3, w) int16 holds the last
    even and the last odd row.
    """
    even = odd = -1
    for y in range(len(out)):
        for row in (rows[0, y], rows[1, y]):
            slot = row & 1
            if row == (odd if slot else even):
                continue
            if slot:
                odd = row
            else:
                even = row
            for i in range(spans.shape[1]):
                _convert_fine(luma, u, v, row, spans[0, i], buffer, spans[1, i])
            for colour in range(3):
                for i in range(blocks.shape[1]):
                    _across(buffer, colour, blocks[0, i], nearer, weights, ring, slot, blocks[1, i])
        for x in offsets:
            _down(ring, rows[0, y] & 1, rows[1, y] & 1, heights[0, y], heights[1, y], out, y, x)
