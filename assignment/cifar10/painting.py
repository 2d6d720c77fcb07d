"""Integer-only drawing for the stand-in: random numbers, painting, textures, shapes.

    Dice       random words -> integers, colors and bytes for each image
    paint      a color, where a coverage lets it -> canvas
    texture    smooth noise
    Sketch     a canvas in the coordinates of the thing drawn on it: ellipses, boxes, polygons

A canvas is (n, 3, 32, 32) int16: n images, then red, green and blue planes. All arithmetic is on
integers, so that the same random words give the same bytes on every platform.
"""

from copy import copy
from functools import reduce
from math import isqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SIDE = 32  # pixels along each edge of an image
LATTICES = (3, 5, 9, 17)  # points along the edge of each octave of a texture
LATTICE_POINTS = sum(points * points for points in LATTICES)

Words = npt.NDArray[np.uint64]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
RGB = tuple[int, int, int]


# ----- random integers ---------------------------------------------------------------------------


def scaled(words: Words, count: int) -> Int32:
    """Turn random words into integers in 0..count - 1, by the words' upper halves."""
    return ((words >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)).astype(np.int32)


class Dice:
    """Source of random numbers for n images: random words (n, any), a row for each image."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.used = 0

    def between(self, low: int, high: int) -> Int32:
        """Return an integer in low..high (inclusive) for each image, shape (n, 1, 1)."""
        self.used += 1
        return (low + scaled(self.words[:, self.used - 1], high - low + 1)).reshape(-1, 1, 1)

    def around_zero(self, most: int) -> Int32:
        """Return integers in -most..most, more likely near zero, shape (n, 1, 1)."""
        return (self.between(-most, most) + self.between(-most, most)) >> 1

    def strength(self, low: int, high: int) -> Int16:
        """Return `between` in the shape and type that scales a canvas, (n, 1, 1, 1)."""
        return self.between(low, high).astype(np.int16)[:, None]

    def vary(self, color: Int16, tint: int, tone: int) -> Int16:
        """Move each channel of colors (n, 3) by up to tint, all by up to tone; (n, 3, 1, 1)."""
        channels = np.stack([self.between(-tint, tint) for _ in range(3)], axis=1)
        return (color[:, :, None, None] + channels + self.strength(-tone, tone)).astype(np.int16)

    def color(self, *palette: RGB, tint: int = 14, tone: int = 24) -> Int16:
        """Return a color near one of the palette for each image, shape (n, 3, 1, 1)."""
        choice = self.between(0, len(palette) - 1).ravel()
        return self.vary(np.array(palette, np.int16)[choice], tint, tone)

    def bytes(self, count: int) -> Int16:
        """Return random bytes minus 128 for each image, shape (n, count)."""
        start, self.used = self.used, self.used + (count + 7) // 8
        # Little-endian before the cut into bytes, for the same order on every platform.
        words = np.ascontiguousarray(self.words[:, start : self.used]).astype("<u8")
        return words.view(np.uint8)[:, :count].astype(np.int16) - np.int16(128)


# ----- painting -----------------------------------------------------------------------------------

ROWS = np.arange(SIDE, dtype=np.int32).reshape(1, SIDE, 1)
COLUMNS = np.arange(SIDE, dtype=np.int32).reshape(1, 1, SIDE)
OPAQUE = 64  # coverage of a pixel that lies wholly inside a shape


def paint(canvas: Int16, coverage: Int32, color: Int16) -> None:
    """Blend a color into the canvas by a coverage (n, 32, 32), which is clipped to 0..OPAQUE.

    The color has any shape that broadcasts to the canvas.
    """
    opacity = np.clip(coverage, 0, OPAQUE).astype(np.int16)[:, None]
    canvas += (color - canvas) * opacity >> 6  # over 64, which is OPAQUE


def texture(dice: Dice) -> Int16:
    """Return smooth noise around zero, one octave per lattice, shape (n, 1, 32, 32)."""
    points = dice.bytes(LATTICE_POINTS)
    field = np.zeros((len(points), 1, LATTICES[0], LATTICES[0]), np.int16)
    for edge in LATTICES:
        octave, points = points[:, : edge * edge], points[:, edge * edge :]
        field = field + octave.reshape(-1, 1, edge, edge)
        # A lattice twice as fine: keep the points, add the means of neighbors.
        for axis in (2, 3):
            doubled = np.repeat(field, 2, axis).swapaxes(axis, 2)
            field = ((doubled[:, :, :-1] + doubled[:, :, 1:]) >> 1).swapaxes(axis, 2)
    return field[:, :, :SIDE, :SIDE]


# ----- shapes ------------------------------------------------------------------------------------

UNIT = 16  # model units to a pixel at life size
LIFE_SIZE = 64
EDGE = 3  # loss of coverage per model unit across an outline: 64 / 3 units, which is 1.3 pixels
QUARTER_SINE = (0, 100, 200, 297, 392, 483, 569, 650, 724, 792, 851, 903, 946, 980, 1004, 1019)
HALF_SINE = (*QUARTER_SINE, 1024, *QUARTER_SINE[:0:-1])
SINE = np.array([*HALF_SINE, *(-sine for sine in HALF_SINE)], np.int32)  # 64 steps to a turn


class Pose(NamedTuple):
    """Ranges of size, tilt and place for the things of a kind."""

    size: tuple[int, int]  # at life size, 64, an image is 512 model units wide
    tilt: int = 1  # at most to either side, in 64ths of a turn
    shift: int = 6  # at most from the center along each axis, in pixels, at life size


class Sketch:
    """A canvas in the model coordinates of the thing that is drawn on it.

    The origin is in the middle of the thing; x and y go right and down. Place, size, proportions,
    tilt and mirroring differ from image to image. The image of a thing at life size spans
    -256..256. In symmetric things x = 0 is the axis.
    """

    def __init__(self, dice: Dice, canvas: Int16, pose: Pose) -> None:
        self.dice, self.canvas = dice, canvas
        size = dice.between(*pose.size)
        # Model units per 16th of a pixel, in 64ths.
        across = LIFE_SIZE * 64 // (size + dice.around_zero(14))
        along = LIFE_SIZE * 64 // (size + dice.around_zero(10))
        # Small things may stand farther out than large ones, which the edge would cut off. At
        # life size this is UNIT for each pixel of shift.
        reach = pose.shift * (144 - size) // 5
        middle = (SIDE - 1) * UNIT // 2
        x = COLUMNS * UNIT - middle - (reach * dice.between(-64, 64) >> 6)
        y = ROWS * UNIT - middle - (reach * dice.between(-64, 64) >> 6)
        tilt = dice.between(-pose.tilt, pose.tilt)
        sine, cosine = SINE[tilt & 63], SINE[(tilt + 16) & 63]
        mirror = 2 * dice.between(0, 1) - 1
        self.x = (x * (cosine * across >> 6) + y * (sine * across >> 6)) * mirror >> 10
        self.y = (y * (cosine * along >> 6) - x * (sine * along >> 6)) >> 10
        # Light comes from above: the upper parts of a thing are brighter than the lower ones.
        self.light = np.clip(-self.y >> 2, -28, 28).astype(np.int16)[:, None]

    def moved(self, x: int, y: int, size: int) -> "Sketch":
        """Return the same canvas with its origin at (x, y), drawing `size` 64ths as large."""
        sketch = copy(self)
        sketch.x, sketch.y = (self.x - x) * 64 // size, (self.y - y) * 64 // size
        return sketch

    def folded(self) -> "Sketch":
        """Return the same canvas folded along the axis: shapes at x > 0 show on both sides."""
        sketch = copy(self)
        sketch.x = np.abs(self.x)
        return sketch

    def fill(self, color: Int16, outside: Int32) -> None:
        """Paint a shape by each pixel's distance outside its outline, in units (n, 32, 32)."""
        paint(self.canvas, OPAQUE // 2 - EDGE * outside, color + self.light)

    def ellipse(self, color: Int16, x: int, y: int, rx: int, ry: int) -> None:
        # Scale to a circle of radius 64, then its equation back to a distance: u * u + v * v
        # grows by 128 per unit of distance. Exact for a circle and close for an ellipse.
        u = (self.x - x) * (64 * 256 // rx) >> 8
        v = (self.y - y) * (64 * 256 // ry) >> 8
        excess = np.minimum(u * u + v * v, 8 * 64 * 64) - 64 * 64  # bounded, to fit 32 bits
        self.fill(color, excess * isqrt(rx * ry) >> 13)

    def box(self, color: Int16, x: int, y: int, half_width: int, half_height: int) -> None:
        beside, above = np.abs(self.x - x) - half_width, np.abs(self.y - y) - half_height
        self.fill(color, np.maximum(beside, above))

    def polygon(self, color: Int16, *corners: tuple[int, int]) -> None:
        """Fill a convex polygon, its corners clockwise in the image."""
        edges = zip(corners, (*corners[1:], corners[0]), strict=True)
        self.fill(color, reduce(np.maximum, (self.beyond(*edge) for edge in edges)))

    def beyond(self, start: tuple[int, int], end: tuple[int, int]) -> Int32:
        """Return each pixel's distance to the left of the line start-end (n, 32, 32)."""
        right, down = end[0] - start[0], end[1] - start[1]
        length = isqrt(right * right + down * down)
        left_x, left_y = down * 256 // length, -right * 256 // length
        return ((self.x - start[0]) * left_x + (self.y - start[1]) * left_y) >> 8


def darker(color: Int16) -> Int16:
    """Return the color in the shade, five eighths as bright."""
    return color * np.int16(5) >> 3
