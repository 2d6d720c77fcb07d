"""A stand-in for CIFAR-10: ten classes of small pictures, drawn by a procedure from a seed.

It serves where the real data set has not been downloaded. A person sees at once what the pictures
are meant to be, a linear classifier finds them about as hard as the real ones, and the files have
CIFAR-10's layout.

The same seed gives the same bytes on every platform and under every numpy (2.0 or later): the only
randomness is the raw output of PCG64, and all arithmetic is on integers. The parts, in the order
in which a picture passes through them:

    Dice            random words -> integers, colours and bytes for each picture
    backdrop        a scene (sky, sea, meadow, ...) -> canvas
    Sketch          a pose, then ellipses, boxes and polygons painted on the canvas
    KINDS           the functions that sketch each class, with their scenes and poses
    photograph      light, fading, contrast and grain -> uint8
    write_batches   pictures -> files, pickled in the dialect of Python 2

In the shapes below, a canvas is (n, 3, 32, 32) int16: n pictures, then red, green and blue planes.
"""

from collections.abc import Callable
from copy import copy
from functools import reduce
from math import isqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from assignment.cifar10.batches import Picklable, write_pickle

__all__ = ["CLASS_NAMES", "DEFAULT_SEED", "draw_images", "write_batches"]

DEFAULT_SEED: int = 231
CLASS_NAMES: tuple[str, ...] = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

SIDE = 32  # pixels along each edge of a picture
# Pictures are drawn some at a time: that bounds the memory, and the canvas fits into the
# processor's cache. Each picture has random words of its own, so the number changes no picture.
CHUNK = 64
LATTICES = (3, 5, 9, 17)  # points along the edge of each octave of a texture
LATTICE_POINTS = sum(points * points for points in LATTICES)
WORDS_PER_TEXTURE = (LATTICE_POINTS + 7) // 8
TEXTURES = 3  # two in the backdrop, one over everything
WORDS_FOR_GRAIN = 3 * SIDE * SIDE // 8
WORDS_FOR_CHOICES = 96  # scene, pose, colours and light; no kind of picture takes more
WORDS_PER_PICTURE = WORDS_FOR_CHOICES + TEXTURES * WORDS_PER_TEXTURE + WORDS_FOR_GRAIN

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
RGB = tuple[int, int, int]


# ----- random integers ---------------------------------------------------------------------------


def scaled(words: Words, count: int) -> Int32:
    """Random words -> integers in 0..count - 1, from the words' upper halves."""
    return ((words >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)).astype(np.int32)


class Dice:
    """Hands out the random words (n, WORDS_PER_PICTURE) of n pictures, a row for each picture."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.used = 0

    def between(self, low: int, high: int) -> Int32:
        """One integer in low..high (inclusive) for each picture, shape (n, 1, 1)."""
        self.used += 1
        return (low + scaled(self.words[:, self.used - 1], high - low + 1)).reshape(-1, 1, 1)

    def around_zero(self, most: int) -> Int32:
        """An integer in -most..most, the likelier the nearer to zero, shape (n, 1, 1)."""
        return (self.between(-most, most) + self.between(-most, most)) >> 1

    def strength(self, low: int, high: int) -> Int16:
        """The same as `between`, in the shape and type that scales a canvas, (n, 1, 1, 1)."""
        return self.between(low, high).astype(np.int16)[:, None]

    def vary(self, colour: Int16, tint: int, tone: int) -> Int16:
        """Colours (n, 3) -> (n, 3, 1, 1): each channel moved by up to tint, all by up to tone."""
        channels = np.stack([self.between(-tint, tint) for _ in range(3)], axis=1)
        return (colour[:, :, None, None] + channels + self.strength(-tone, tone)).astype(np.int16)

    def colour(self, *palette: RGB, tint: int = 14, tone: int = 24) -> Int16:
        """A colour near one of the palette for each picture, shape (n, 3, 1, 1)."""
        choice = self.between(0, len(palette) - 1).ravel()
        return self.vary(np.array(palette, np.int16)[choice], tint, tone)

    def bytes(self, count: int) -> Int16:
        """Random bytes less 128 for each picture, shape (n, count)."""
        start, self.used = self.used, self.used + (count + 7) // 8
        # Little-endian before they are cut up, so that their order is the same on every platform.
        words = np.ascontiguousarray(self.words[:, start : self.used]).astype("<u8")
        return words.view(np.uint8)[:, :count].astype(np.int16) - np.int16(128)


# ----- backdrops ---------------------------------------------------------------------------------

WHITE, SILVER, GREY = (232, 232, 230), (176, 178, 182), (128, 130, 132)
TAR, BLACK, CREAM = (92, 92, 96), (34, 34, 38), (214, 196, 166)
BLUE, PALE, OVERCAST = (88, 146, 214), (172, 200, 228), (205, 208, 212)
DEEP, TEAL, NAVY = (42, 84, 138), (78, 124, 140), (40, 62, 120)
LEAF, MOSS, PINE = (104, 146, 62), (92, 108, 60), (44, 66, 44)
LIME, OLIVE, STRAW = (120, 152, 62), (118, 116, 56), (186, 168, 112)
EARTH, BARK, BRICK = (130, 102, 72), (74, 58, 46), (150, 86, 66)
TAN, FAWN, CHESTNUT = (186, 152, 108), (152, 110, 74), (112, 66, 42)
RED, YELLOW, GINGER = (176, 44, 44), (206, 176, 70), (190, 124, 66)
PINK, WINE = (206, 150, 140), (120, 50, 54)

Palette = tuple[RGB, RGB, RGB]


class Scene(NamedTuple):
    """A place where a picture is taken. Lengths are in pixels."""

    far: Palette  # above the horizon
    near: Palette  # below it
    uprights: Palette  # trunks, houses, furniture: what stands on the horizon
    crowded: int  # how many in a hundred pictures have each of three uprights
    horizon: tuple[int, int]  # range of its row
    sharpness: int  # coverage per row at the horizon: 64 is a line, 2 blends over the picture
    roughness: int  # of its texture


SKY = Scene((BLUE, PALE, OVERCAST), (PALE, BLUE, WHITE), (WHITE, GREY, PALE), 0, (4, 36), 2, 10)
SEA = Scene((PALE, OVERCAST, BLUE), (DEEP, TEAL, GREY), (MOSS, GREY, WHITE), 25, (9, 20), 32, 8)
MEADOW = Scene((PALE, PINE, MOSS), (LEAF, MOSS, STRAW), (PINE, MOSS, BARK), 30, (3, 18), 16, 14)
FOREST = Scene((PINE, MOSS, BARK), (MOSS, EARTH, LEAF), (BARK, BLACK, PINE), 75, (8, 26), 8, 22)
ROAD = Scene((PALE, OVERCAST, PINE), (TAR, GREY, SILVER), (BRICK, GREY, PINE), 65, (6, 18), 24, 9)
ROOM = Scene((CREAM, EARTH, GREY), (BRICK, CREAM, BARK), (WINE, WHITE, BLACK), 55, (10, 28), 24, 8)
GROUND = Scene((MOSS, EARTH, PINE), (EARTH, LEAF, GREY), (STRAW, BARK, LEAF), 20, (2, 30), 4, 22)
STUDIO = Scene((WHITE, BLACK, SILVER), (WHITE, GREY, BLACK), (GREY, GREY, GREY), 0, (4, 28), 4, 4)
SCENES = (SKY, SEA, MEADOW, FOREST, ROAD, ROOM, GROUND, STUDIO)
# In so many of a hundred pictures the scene is any one, whatever the class. This and the poses
# set how hard the pictures are: a linear classifier lives on colours and places.
STRAY = 28

# The same as a table for each property, so that it can be looked up for many pictures at once.
FAR, NEAR, UPRIGHTS = (np.array([scene[i] for scene in SCENES], np.int16) for i in range(3))
CROWDED, HORIZON, SHARPNESS, ROUGHNESS = (
    np.array([scene[i] for scene in SCENES], np.int32) for i in range(3, 7)
)

ROWS = np.arange(SIDE, dtype=np.int32).reshape(1, SIDE, 1)
COLUMNS = np.arange(SIDE, dtype=np.int32).reshape(1, 1, SIDE)
OPAQUE = 64  # the coverage of a pixel that lies wholly inside a shape


def paint(canvas: Int16, coverage: Int32, colour: Int16) -> None:
    """Lay a colour, of any shape that broadcasts to the canvas, where coverage (n, 32, 32) says.

    The coverage is clipped to 0..OPAQUE.
    """
    opacity = np.clip(coverage, 0, OPAQUE).astype(np.int16)[:, None]
    canvas += (colour - canvas) * opacity >> 6  # over 64, which is OPAQUE


def texture(dice: Dice) -> Int16:
    """Smooth noise around zero, the sum of an octave for each lattice, shape (n, 1, 32, 32)."""
    points = dice.bytes(LATTICE_POINTS)
    field = np.zeros((len(points), 1, LATTICES[0], LATTICES[0]), np.int16)
    for edge in LATTICES:
        octave, points = points[:, : edge * edge], points[:, edge * edge :]
        field = field + octave.reshape(-1, 1, edge, edge)
        # A lattice twice as fine: old points stay, a new one is the mean of its neighbours.
        for axis in (2, 3):
            doubled = np.repeat(field, 2, axis).swapaxes(axis, 2)
            field = ((doubled[:, :, :-1] + doubled[:, :, 1:]) >> 1).swapaxes(axis, 2)
    return field[:, :, :SIDE, :SIDE]


def choose_scenes(dice: Dice, scenes: tuple[Scene, ...]) -> Int32:
    """Indices into SCENES, shape (n,): one of the given scenes, or now and then any other."""
    usual = np.array([SCENES.index(scene) for scene in scenes], np.int32)
    usual = usual[dice.between(0, len(scenes) - 1)]
    stray = dice.between(0, len(SCENES) - 1)
    return np.where(dice.between(0, 99) < STRAY, stray, usual).ravel()


def backdrop(dice: Dice, scenes: tuple[Scene, ...]) -> Int16:
    """A canvas on which each picture has one of the scenes."""
    place = choose_scenes(dice, scenes)

    def colour(palettes: Int16) -> Int16:
        return dice.vary(palettes[place, dice.between(0, 2).ravel()], tint=16, tone=26)

    def value(table: Int32) -> Int32:
        return table[place].reshape(-1, 1, 1)

    canvas = np.broadcast_to(colour(FAR), (len(place), 3, SIDE, SIDE)).copy()
    low, high = value(HORIZON[:, 0]), value(HORIZON[:, 1])
    horizon = low + ((high - low) * dice.between(0, 64) >> 6)
    for _ in range(3):  # before the near ground, which hides their feet
        centre, half_width, top = dice.between(0, 31), dice.between(1, 6), dice.between(-4, 16)
        above_or_below = np.maximum(top - ROWS, ROWS - horizon - 2)
        outside = np.maximum(np.abs(COLUMNS - centre) - half_width, above_or_below)
        present = dice.between(0, 99) < value(CROWDED)
        paint(canvas, (OPAQUE // 2 - 48 * outside) * present, colour(UPRIGHTS))
    slant = dice.around_zero(14) * (COLUMNS - SIDE // 2) >> 6
    below = (ROWS - horizon + slant) * value(SHARPNESS)
    paint(canvas, below + OPAQUE // 2, colour(NEAR))

    roughness = (value(ROUGHNESS) * dice.between(20, 64) >> 6).astype(np.int16)
    canvas += texture(dice) * roughness[:, None] >> 6
    canvas[:, 2:] += texture(dice) * np.int16(8) >> 6  # more or less blue: warm and cold patches
    return canvas


# ----- shapes ------------------------------------------------------------------------------------

UNIT = 16  # model units to a pixel at life size
LIFE_SIZE = 64
EDGE = 3  # coverage lost per model unit across an outline: 64 / 3 units, which is 1.3 pixels
QUARTER_SINE = (0, 100, 200, 297, 392, 483, 569, 650, 724, 792, 851, 903, 946, 980, 1004, 1019)
HALF_SINE = (*QUARTER_SINE, 1024, *QUARTER_SINE[:0:-1])
SINE = np.array([*HALF_SINE, *(-sine for sine in HALF_SINE)], np.int32)  # 64 steps to a turn


class Pose(NamedTuple):
    """How the things of a kind stand in their pictures."""

    size: tuple[int, int]  # range; at life size, 64, a picture is 512 model units wide
    tilt: int = 1  # the most to either side, in 64ths of a turn
    shift: int = 6  # the most from the centre along each axis, in pixels, at life size


class Sketch:
    """A canvas seen through the model coordinates of a thing that is drawn on it.

    The origin is amid the thing, x and y go right and down. Where that is, at which size and
    proportions, how tilted and whether mirrored, differs from picture to picture. A picture of a
    thing at life size spans -256..256. In symmetric things x = 0 is the axis.
    """

    def __init__(self, dice: Dice, canvas: Int16, pose: Pose) -> None:
        self.dice, self.canvas = dice, canvas
        size = dice.between(*pose.size)
        # In 64ths: how many model units there are to each 16th of a pixel.
        across = LIFE_SIZE * 64 // (size + dice.around_zero(14))
        along = LIFE_SIZE * 64 // (size + dice.around_zero(10))
        # Small things can stand farther out than large ones, which would be cut off. At life
        # size this is UNIT for each pixel of shift.
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
        """The same canvas with the origin at (x, y) and everything `size` 64ths as large."""
        sketch = copy(self)
        sketch.x, sketch.y = (self.x - x) * 64 // size, (self.y - y) * 64 // size
        return sketch

    def folded(self) -> "Sketch":
        """The same canvas folded along the axis: what is drawn at x > 0 shows on both sides."""
        sketch = copy(self)
        sketch.x = np.abs(self.x)
        return sketch

    def fill(self, colour: Int16, outside: Int32) -> None:
        """Paint a shape, given how many units each pixel is outside its outline (n, 32, 32)."""
        paint(self.canvas, OPAQUE // 2 - EDGE * outside, colour + self.light)

    def ellipse(self, colour: Int16, x: int, y: int, rx: int, ry: int) -> None:
        # Scaled to a circle of radius 64, and its equation back to a distance: u * u + v * v
        # grows by 128 per unit of distance. Right for a circle and near enough for an ellipse.
        u = (self.x - x) * (64 * 256 // rx) >> 8
        v = (self.y - y) * (64 * 256 // ry) >> 8
        excess = np.minimum(u * u + v * v, 8 * 64 * 64) - 64 * 64  # bounded: it must fit 32 bits
        self.fill(colour, excess * isqrt(rx * ry) >> 13)

    def box(self, colour: Int16, x: int, y: int, half_width: int, half_height: int) -> None:
        beside, above = np.abs(self.x - x) - half_width, np.abs(self.y - y) - half_height
        self.fill(colour, np.maximum(beside, above))

    def polygon(self, colour: Int16, *corners: tuple[int, int]) -> None:
        """A convex polygon, its corners clockwise as seen in the picture."""
        edges = zip(corners, (*corners[1:], corners[0]), strict=True)
        self.fill(colour, reduce(np.maximum, (self.beyond(*edge) for edge in edges)))

    def beyond(self, start: tuple[int, int], end: tuple[int, int]) -> Int32:
        """How far each pixel lies to the left of the line from start to end (n, 32, 32)."""
        right, down = end[0] - start[0], end[1] - start[1]
        length = isqrt(right * right + down * down)
        left_x, left_y = down * 256 // length, -right * 256 // length
        return ((self.x - start[0]) * left_x + (self.y - start[1]) * left_y) >> 8


# ----- the classes -------------------------------------------------------------------------------

# A colour that is named twice is twice as likely.
PAINTWORK = (RED, RED, RED, SILVER, WHITE, NAVY, YELLOW, BLACK)
CAT_FUR = (GREY, GINGER, BLACK, FAWN, SILVER, BARK)
DOG_FUR = (CREAM, FAWN, CHESTNUT, BLACK, WHITE, GINGER)
DEER_COAT = (FAWN, CHESTNUT, GINGER, TAN)
FROG_SKIN = (LIME, OLIVE, LIME, MOSS, EARTH, YELLOW)
HORSE_COAT = (CHESTNUT, BARK, CHESTNUT, FAWN, BLACK, WHITE)


def darker(colour: Int16) -> Int16:
    """The same colour in the shade, five eighths as bright."""
    return colour * np.int16(5) >> 3


def airliner(s: Sketch) -> None:
    body = s.dice.colour(WHITE, WHITE, SILVER, GREY, NAVY)
    wing, livery = darker(body), s.dice.colour(RED, NAVY, WHITE, GREY)
    s.polygon(wing, (-30, -8), (-95, -85), (-65, -85), (35, -8))
    s.polygon(livery, (-205, -8), (-225, -100), (-185, -100), (-110, -8))
    s.ellipse(body, 0, 0, 215, 36)
    s.box(darker(wing), 10, -8, 150, 5)
    s.polygon(wing, (-35, 10), (55, 10), (-60, 105), (-100, 105))
    s.polygon(wing, (-190, 2), (-140, 2), (-190, 34), (-215, 34))
    s.ellipse(livery, 5, 48, 34, 15)


def jet_from_above(s: Sketch) -> None:
    body = s.dice.colour(WHITE, SILVER, GREY, BLACK, TAR)
    both = s.folded()
    both.polygon(darker(body), (0, -60), (210, 65), (210, 95), (0, 40))
    both.polygon(darker(body), (0, 125), (80, 185), (80, 205), (0, 185))
    s.ellipse(body, 0, 0, 32, 215)
    s.ellipse(s.dice.colour(BLACK, NAVY), 0, -150, 14, 26)


def wheels(s: Sketch, y: int, radius: int, *places: int) -> None:
    tyre, hub = s.dice.colour(BLACK, tone=10), s.dice.colour(SILVER, GREY)
    for x in places:
        s.ellipse(tyre, x, y, radius, radius)
        s.ellipse(hub, x, y, radius // 2, radius // 2)


def car_from_the_side(s: Sketch) -> None:
    body = s.dice.colour(*PAINTWORK)
    glass = s.dice.colour(BLACK, TAR, PALE)
    s.ellipse(s.dice.colour(BLACK), 0, 98, 230, 22)
    s.polygon(body, (-125, -15), (-75, -85), (60, -85), (120, -15))
    s.polygon(glass, (-100, -18), (-62, -72), (-10, -72), (-10, -18))
    s.polygon(glass, (5, -18), (5, -72), (50, -72), (92, -18))
    s.box(body, 0, 25, 210, 40)
    s.ellipse(body, 0, 10, 222, 40)
    s.box(darker(body), 0, 58, 205, 10)
    s.ellipse(s.dice.colour(YELLOW, WHITE), 200, 15, 14, 12)
    wheels(s, 70, 44, -120, 122)


def car_from_the_front(s: Sketch) -> None:
    body, both = s.dice.colour(*PAINTWORK), s.folded()
    trim, lamp = s.dice.colour(BLACK, TAR), s.dice.colour(WHITE, YELLOW)
    s.ellipse(trim, 0, 125, 200, 22)
    both.box(trim, 128, 95, 28, 38)
    s.polygon(body, (-140, -25), (-95, -120), (95, -120), (140, -25))
    s.polygon(s.dice.colour(BLACK, TAR, PALE), (-115, -30), (-82, -105), (82, -105), (115, -30))
    s.box(body, 0, 35, 172, 65)
    s.ellipse(body, 0, -15, 165, 40)
    s.box(trim, 0, 40, 75, 20)
    s.box(lamp, 0, 84, 38, 11)
    both.ellipse(lamp, 130, 25, 30, 22)


def perched_bird(s: Sketch) -> None:
    body = s.dice.colour(EARTH, GREY, BLUE, RED, YELLOW, BARK, WHITE, TEAL)
    leg = s.dice.colour(BLACK, GINGER)
    s.box(s.dice.colour(BARK, EARTH, MOSS), 0, 152, 330, 16)
    s.box(leg, -8, 118, 6, 34)
    s.box(leg, 34, 118, 6, 34)
    s.polygon(darker(body), (-80, 0), (-50, 60), (-205, 120), (-215, 92))
    s.ellipse(body, 0, 20, 112, 82)
    s.ellipse(s.dice.colour(CREAM, WHITE, GINGER, GREY), 48, 42, 62, 60)
    s.polygon(s.dice.colour(YELLOW, BLACK, GINGER), (120, -100), (182, -72), (120, -60))
    s.ellipse(body, 78, -78, 62, 58)
    s.ellipse(darker(body), -38, 18, 88, 46)
    s.ellipse(s.dice.colour(BLACK, tone=6), 96, -90, 11, 11)


def flying_bird(s: Sketch) -> None:
    body = s.dice.colour(BLACK, BARK, WHITE, GREY, EARTH)
    s.polygon(darker(body), (-55, 0), (-160, -150), (-110, -165), (45, -5))
    s.polygon(body, (-35, 5), (70, -180), (110, -170), (60, 10))
    s.polygon(darker(body), (-80, -10), (-60, 18), (-190, 55), (-195, 5))
    s.ellipse(body, 0, 5, 112, 38)
    s.ellipse(body, 105, -12, 40, 34)
    s.polygon(s.dice.colour(YELLOW, BLACK), (132, -26), (190, -8), (132, 6))


def eyes(both: Sketch, y: int, apart: int, size: int, *colours: RGB) -> None:
    both.ellipse(both.dice.colour(*colours), apart, y, size, size)
    both.ellipse(both.dice.colour(BLACK, tone=6), apart, y, size * 5 // 8, size * 3 // 4)


def cat_head(s: Sketch, fur: Int16, muzzle: Int16) -> None:
    both, pink = s.folded(), s.dice.colour(PINK)
    both.polygon(fur, (150, -190), (145, -50), (30, -110))
    both.polygon(pink, (132, -150), (128, -75), (70, -105))
    s.ellipse(fur, 0, 0, 165, 140)
    s.box(darker(fur), 0, -95, 9, 32)
    both.box(darker(fur), 45, -95, 9, 32)
    s.ellipse(muzzle, 0, 68, 72, 50)
    eyes(both, -12, 72, 32, LIME, YELLOW, PALE)
    s.polygon(pink, (-22, 38), (22, 38), (0, 62))
    s.box(darker(muzzle), 0, 84, 4, 20)


def cat_face(s: Sketch) -> None:
    cat_head(s, s.dice.colour(*CAT_FUR), s.dice.colour(WHITE, CREAM))


def sitting_cat(s: Sketch) -> None:
    fur, white = s.dice.colour(*CAT_FUR), s.dice.colour(WHITE, CREAM)
    s.ellipse(darker(fur), -105, 165, 90, 26)
    s.ellipse(fur, 0, 110, 100, 120)
    s.ellipse(white, 0, 80, 45, 70)
    s.folded().box(fur, 34, 175, 22, 60)
    cat_head(s.moved(0, -75, 40), fur, white)


def dog_face(s: Sketch) -> None:
    fur, muzzle, both = s.dice.colour(*DOG_FUR), s.dice.colour(CREAM, WHITE, TAN), s.folded()
    s.ellipse(fur, 0, 175, 130, 90)
    s.ellipse(fur, 0, -10, 135, 145)
    both.ellipse(darker(fur), 135, 0, 48, 120)
    s.box(muzzle, 0, -70, 18, 70)
    s.ellipse(muzzle, 0, 70, 78, 70)
    eyes(both, -28, 62, 24, BARK, CHESTNUT)
    s.ellipse(s.dice.colour(BLACK, tone=8), 0, 42, 36, 26)
    s.ellipse(s.dice.colour(PINK, RED), 0, 118, 24, 30)


def legs(s: Sketch, colour: Int16, top: int, foot: int, width: int, *places: int) -> None:
    """Tapering legs, every other one in the shade of the body."""
    for i, x in enumerate(places):
        thigh, hoof = width // 2, width // 4
        corners = (x - thigh, top), (x + thigh, top), (x + hoof, foot), (x - hoof, foot)
        s.polygon(darker(colour) if i % 2 else colour, *corners)


def standing_dog(s: Sketch) -> None:
    fur, nose = s.dice.colour(*DOG_FUR), s.dice.colour(BLACK, tone=8)
    s.polygon(fur, (-150, -30), (-205, -110), (-185, -120), (-120, -30))
    legs(s, fur, 0, 170, 48, -118, -75, 100, 60)
    s.ellipse(fur, -10, 5, 155, 66)
    s.polygon(fur, (50, -25), (85, -105), (150, -95), (130, 30))
    s.ellipse(fur, 125, -95, 66, 56)
    s.ellipse(s.dice.colour(CREAM, WHITE, TAN), 180, -78, 48, 30)
    s.ellipse(darker(fur), 85, -80, 28, 58)
    s.ellipse(nose, 218, -88, 17, 15)
    s.ellipse(nose, 138, -108, 10, 10)


def deer_body(s: Sketch, coat: Int16, pale: Int16) -> None:
    legs(s, coat, 0, 200, 30, -115, -80, 62, 95)
    s.ellipse(pale, -140, -15, 24, 34)
    s.ellipse(coat, -20, 0, 128, 56)
    s.ellipse(pale, -20, 46, 80, 14)
    for x in (-90, -50, -10, 30):
        s.ellipse(pale, x, -18, 9, 8)


def stag(s: Sketch) -> None:
    coat, pale = s.dice.colour(*DEER_COAT), s.dice.colour(CREAM, WHITE)
    antler = s.dice.colour(BARK, CREAM, TAN)
    deer_body(s, coat, pale)
    s.polygon(coat, (20, -15), (88, -135), (132, -125), (108, 25))
    s.ellipse(coat, 130, -130, 52, 32)
    s.ellipse(darker(coat), 172, -118, 24, 18)
    s.polygon(coat, (95, -140), (48, -172), (105, -165))
    for x in (60, 135):
        s.polygon(antler, (102, -150), (x - 8, -235), (x + 8, -235), (118, -150))
        s.polygon(antler, (x + 5, -190), (x + 40, -232), (x + 48, -222), (x + 12, -180))


def grazing_deer(s: Sketch) -> None:
    coat, pale = s.dice.colour(*DEER_COAT), s.dice.colour(CREAM, WHITE)
    deer_body(s, coat, pale)
    s.polygon(coat, (55, -45), (105, -30), (185, 105), (145, 120))
    s.ellipse(coat, 172, 128, 34, 46)
    s.polygon(darker(coat), (165, 95), (212, 50), (192, 105))


def frog(s: Sketch) -> None:
    skin, both = s.dice.colour(*FROG_SKIN), s.folded()
    both.ellipse(darker(skin), 150, 75, 62, 72)
    both.ellipse(darker(skin), 150, 140, 80, 20)
    s.ellipse(skin, 0, 40, 150, 115)
    s.ellipse(s.dice.colour(CREAM, YELLOW, STRAW), 0, 95, 98, 55)
    s.ellipse(skin, 0, -25, 140, 82)
    s.box(darker(darker(skin)), 0, 8, 98, 6)
    both.ellipse(skin, 78, -90, 46, 44)
    eyes(both, -94, 78, 28, YELLOW, GINGER, BLACK)
    both.box(skin, 60, 130, 18, 34)


def frog_from_above(s: Sketch) -> None:
    skin, both = s.dice.colour(*FROG_SKIN), s.folded()
    both.polygon(darker(skin), (40, 60), (190, 30), (200, 70), (60, 125))
    both.polygon(darker(skin), (190, 35), (205, 70), (110, 190), (80, 175))
    both.polygon(darker(skin), (60, -60), (185, -120), (195, -95), (80, -10))
    s.ellipse(skin, 0, 10, 105, 135)
    s.polygon(skin, (-95, -55), (-30, -170), (30, -170), (95, -55))
    s.box(s.dice.colour(YELLOW, BARK, LIME), 0, 10, 9, 110)
    eyes(both, -88, 70, 28, YELLOW, GINGER, BLACK)


def horse(s: Sketch) -> None:
    coat, mane = s.dice.colour(*HORSE_COAT), s.dice.colour(BLACK, BARK, CREAM)
    s.polygon(mane, (-165, -45), (-140, -45), (-175, 110), (-205, 105))
    legs(s, coat, 0, 205, 38, -135, -90, 112, 66)
    s.ellipse(coat, -95, -12, 70, 58)
    s.ellipse(coat, 0, -4, 150, 50)
    s.polygon(coat, (30, -25), (105, -165), (160, -150), (148, 30))
    s.polygon(mane, (30, -40), (92, -178), (124, -172), (72, -25))
    s.polygon(coat, (105, -175), (160, -170), (228, -88), (195, -65))
    s.polygon(coat, (112, -170), (122, -205), (140, -170))
    s.ellipse(s.dice.colour(BLACK, tone=6), 160, -142, 9, 9)


def horse_head(s: Sketch) -> None:
    coat, mane = s.dice.colour(*HORSE_COAT), s.dice.colour(BLACK, BARK, CREAM)
    dark = s.dice.colour(BLACK, tone=6)
    s.polygon(coat, (-80, -130), (50, -20), (120, 290), (-240, 290))
    s.polygon(mane, (-95, -165), (-45, -160), (-150, 290), (-270, 290))
    s.ellipse(coat, -5, -55, 88, 92)
    s.polygon(coat, (-50, -150), (35, -145), (195, 65), (115, 140), (-20, 40))
    s.ellipse(coat, 145, 95, 60, 54)
    s.polygon(coat, (-50, -140), (-35, -225), (0, -145))
    s.ellipse(dark, 20, -75, 16, 14)
    s.ellipse(dark, 165, 85, 11, 15)
    s.box(s.dice.colour(RED, BARK, NAVY), 75, 30, 8, 90)


def liner(s: Sketch) -> None:
    hull = s.dice.colour(NAVY, BLACK, WHITE, RED, GREY)
    deck, funnel = s.dice.colour(WHITE, WHITE, SILVER, CREAM), s.dice.colour(RED, BLACK, YELLOW)
    s.box(s.dice.colour(BLACK, GREY), 75, -110, 6, 80)
    s.box(funnel, -45, -105, 26, 50)
    s.box(funnel, 20, -100, 22, 45)
    s.box(deck, -20, -45, 130, 32)
    s.box(deck, -15, -5, 170, 30)
    s.box(darker(hull), -20, -42, 118, 8)
    s.box(darker(hull), -15, 2, 155, 7)
    s.polygon(hull, (-225, 20), (240, 12), (185, 95), (-200, 95))
    s.box(s.dice.colour(RED, WHITE, BLACK), -5, 90, 195, 9)
    s.ellipse(s.dice.colour(TEAL, WHITE, DEEP), 0, 112, 250, 16)


def sailing_boat(s: Sketch) -> None:
    hull, sail = s.dice.colour(WHITE, BARK, NAVY, RED), s.dice.colour(WHITE, WHITE, CREAM, RED)
    s.box(s.dice.colour(BARK, GREY), 0, -50, 6, 170)
    s.polygon(sail, (-12, -215), (-12, 70), (-140, 70))
    s.polygon(darker(sail), (14, -190), (135, 70), (14, 70))
    s.polygon(hull, (-175, 92), (190, 85), (140, 145), (-140, 145))
    s.ellipse(s.dice.colour(TEAL, WHITE, DEEP), 0, 155, 195, 13)


def lorry_from_the_side(s: Sketch) -> None:
    load = s.dice.colour(WHITE, SILVER, WHITE, RED, BLUE, TAR)
    cab, dark = s.dice.colour(RED, WHITE, NAVY, YELLOW), s.dice.colour(BLACK, TAR)
    s.ellipse(dark, 0, 150, 235, 18)
    s.box(dark, 0, 98, 215, 18)
    s.box(load, -65, -25, 155, 110)
    s.box(darker(load), -65, 62, 155, 10)
    s.polygon(cab, (105, 105), (105, -80), (170, -80), (222, 5), (222, 105))
    s.polygon(s.dice.colour(BLACK, PALE), (125, 5), (125, -60), (164, -60), (200, 5))
    wheels(s, 115, 42, -165, -75, 160)


def lorry_from_the_front(s: Sketch) -> None:
    cab, dark, both = s.dice.colour(*PAINTWORK), s.dice.colour(BLACK, TAR), s.folded()
    s.ellipse(dark, 0, 195, 195, 20)
    both.box(dark, 118, 165, 34, 42)
    s.box(s.dice.colour(WHITE, SILVER, TAR), 0, -60, 168, 150)
    s.box(cab, 0, 10, 150, 150)
    s.box(s.dice.colour(BLACK, PALE, TAR), 0, -65, 122, 48)
    s.box(dark, 0, 55, 82, 40)
    s.box(s.dice.colour(SILVER, GREY), 0, 138, 160, 18)
    both.ellipse(s.dice.colour(WHITE, YELLOW), 115, 95, 24, 20)
    both.box(dark, 172, -45, 11, 34)


class Kind(NamedTuple):
    """A way of drawing a class. A scene that is named twice is twice as likely."""

    sketch: Callable[[Sketch], None]
    scenes: tuple[Scene, ...]
    pose: Pose


AIR = (SKY, SKY, SKY, SKY, ROAD, SEA)
STREET = (ROAD, ROAD, ROAD, STUDIO, MEADOW)
HOME = (ROOM, ROOM, ROOM, STUDIO, MEADOW)
WILD = (FOREST, FOREST, MEADOW, MEADOW, GROUND)
POND = (GROUND, GROUND, GROUND, FOREST, STUDIO)
FIELD = (MEADOW, MEADOW, MEADOW, FOREST, ROAD)
WATER = (SEA, SEA, SEA, SEA, SKY)
ANYWHERE_GREEN = (FOREST, MEADOW, SKY, GROUND, STUDIO)

WAYS = 2  # of drawing each class
KINDS = (  # in the order of CLASS_NAMES
    Kind(airliner, AIR, Pose((40, 84), tilt=4, shift=7)),
    Kind(jet_from_above, AIR, Pose((38, 80), tilt=32, shift=7)),
    Kind(car_from_the_side, STREET, Pose((44, 82))),
    Kind(car_from_the_front, STREET, Pose((50, 94))),
    Kind(perched_bird, ANYWHERE_GREEN, Pose((40, 90), tilt=2, shift=8)),
    Kind(flying_bird, (SKY, SKY, SEA, MEADOW), Pose((36, 82), tilt=6, shift=9)),
    Kind(cat_face, HOME, Pose((44, 98), tilt=3, shift=7)),
    Kind(sitting_cat, HOME, Pose((46, 86), shift=7)),
    Kind(stag, WILD, Pose((42, 82), shift=7)),
    Kind(grazing_deer, WILD, Pose((46, 88), shift=7)),
    Kind(dog_face, HOME, Pose((46, 100), tilt=3, shift=7)),
    Kind(standing_dog, HOME, Pose((44, 86), shift=7)),
    Kind(frog, POND, Pose((42, 94), tilt=2, shift=7)),
    Kind(frog_from_above, POND, Pose((40, 86), tilt=32, shift=7)),
    Kind(horse, FIELD, Pose((44, 86))),
    Kind(horse_head, FIELD, Pose((48, 86), tilt=2)),
    Kind(liner, WATER, Pose((40, 84))),
    Kind(sailing_boat, WATER, Pose((38, 84), shift=7)),
    Kind(lorry_from_the_side, STREET, Pose((44, 82))),
    Kind(lorry_from_the_front, STREET, Pose((44, 82))),
)

# ----- the photograph ----------------------------------------------------------------------------


def photograph(dice: Dice, canvas: Int16) -> Images:
    """Canvas -> pictures (n, 32, 32, 3) uint8.

    The ranges give the pixels the mean, the spread and the leading principal components of the
    real CIFAR-10's, so that the same learning rates and regularisation suit both.
    """
    canvas = canvas + (texture(dice) * dice.strength(1, 10) >> 6)
    # Light that falls off towards one side, mostly to the left or right.
    sideways, downwards = dice.around_zero(64), dice.around_zero(20)
    falloff = sideways * (COLUMNS - SIDE // 2) + downwards * (ROWS - SIDE // 2)
    canvas += (falloff >> 4).astype(np.int16)[:, None]
    # Some pictures fade towards grey; the weights, of 16, are those of the eye.
    grey = (canvas[:, :1] * 5 + canvas[:, 1:2] * 9 + canvas[:, 2:] * 2) >> 4
    canvas = grey + ((canvas - grey) * np.minimum(dice.strength(16, 230), 72) >> 6)
    canvas = ((canvas - 120) * dice.strength(44, 76) >> 6) + dice.strength(114, 126)
    grain = dice.bytes(3 * SIDE * SIDE).reshape(canvas.shape)
    canvas += grain * dice.strength(2, 8) >> 6
    return np.clip(canvas, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


# ----- the data set ------------------------------------------------------------------------------


def random_source(seed: int) -> np.random.PCG64:
    """The source of raw random words; its stream is the same in every version of numpy."""
    if seed < 0:
        raise ValueError(f"a seed is zero or more, not {seed}")
    return np.random.PCG64(seed)


def draw_from(source: np.random.PCG64, num: int) -> tuple[Images, Labels]:
    """`draw_images`, from where the source has got to."""
    if num < 1:
        raise ValueError(f"the number of pictures to draw is one or more, not {num}")
    order = np.argsort(source.random_raw(num), kind="stable")
    labels = (np.arange(num, dtype=np.int64) % len(CLASS_NAMES))[order]
    kinds = WAYS * labels + scaled(source.random_raw(num), WAYS)
    images = np.empty((num, SIDE, SIDE, 3), np.uint8)
    for index, kind in enumerate(KINDS):
        members = np.flatnonzero(kinds == index)
        for start in range(0, len(members), CHUNK):
            chunk = members[start : start + CHUNK]
            words = source.random_raw(len(chunk) * WORDS_PER_PICTURE)
            dice = Dice(words.reshape(len(chunk), WORDS_PER_PICTURE))
            sketch = Sketch(dice, backdrop(dice, kind.scenes), kind.pose)
            kind.sketch(sketch)
            images[chunk] = photograph(dice, sketch.canvas)
    return images, labels


def draw_images(num: int, seed: int) -> tuple[Images, Labels]:
    """Draw a data set. The same arguments give the same bytes everywhere.

    Parameters
    ----------
    num : int
        How many pictures, at least 1.
    seed : int
        Any integer from 0. Different seeds give different pictures in a different order.

    Returns
    -------
    pictures : (num, 32, 32, 3) uint8
        Row, column, and red, green, blue.
    labels : (num,) int64
        Indices into CLASS_NAMES, shuffled. No class has more than one picture more than another.

    Raises
    ------
    ValueError
        num is less than 1, or the seed is negative.
    """
    return draw_from(random_source(seed), num)


# ----- files -------------------------------------------------------------------------------------


def write_batch(path: Path, title: str, images: Images, labels: Labels) -> None:
    """One batch file; its rows are a picture's reds, then its greens, then its blues."""
    classes: list[int] = labels.tolist()
    names = [f"{CLASS_NAMES[c]}_synthetic_{i:06d}.png" for i, c in enumerate(classes)]
    batch: dict[bytes, Picklable] = {
        b"batch_label": title.encode(),
        b"labels": [*classes],
        b"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1),
        b"filenames": [name.encode() for name in names],
    }
    write_pickle(path, batch)


def write_batches(folder: Path, seed: int = DEFAULT_SEED, images_per_batch: int = 2000) -> None:
    """Write a drawn data set in the files and the format of CIFAR-10's Python version.

    The same arguments give the same bytes everywhere. ``data_batch_1`` to ``5`` hold, in order,
    ``draw_images(5 * pictures_per_batch, seed)``; ``test_batch`` holds pictures drawn after
    those from the same source. In ``batches.meta`` an extra key, ``synthetic``, holds the seed:
    by this a reader tells the stand-in from the real data set.

    Parameters
    ----------
    folder : Path
        An existing, empty folder.
    seed : int
        Any integer from 0.
    pictures_per_batch : int
        How many pictures in each of the six batches, at least 1.

    Raises
    ------
    ValueError
        The seed is negative, pictures_per_batch is less than 1, or the folder is not empty.
    OSError
        The folder does not exist or cannot be written to.
    """
    folder = Path(folder)
    if any(folder.iterdir()):
        raise ValueError(f"the folder {folder} is not empty")
    if images_per_batch < 1:
        raise ValueError(f"a batch has one picture or more, not {images_per_batch}")
    source = random_source(seed)
    images, labels = draw_from(source, 5 * images_per_batch)
    for k in range(5):
        part = slice(k * images_per_batch, (k + 1) * images_per_batch)
        title = f"synthetic training batch {k + 1} of 5"
        write_batch(folder / f"data_batch_{k + 1}", title, images[part], labels[part])
    images, labels = draw_from(source, images_per_batch)
    write_batch(folder / "test_batch", "synthetic testing batch 1 of 1", images, labels)
    meta: dict[bytes, Picklable] = {
        b"num_cases_per_batch": images_per_batch,
        b"label_names": [name.encode() for name in CLASS_NAMES],
        b"num_vis": 3 * SIDE * SIDE,
        b"synthetic": int(seed),
    }
    write_pickle(folder / "batches.meta", meta)
