"""Drawings of the stand-in's ten classes: colors, scenes, and two ways to draw each class.

    Scene    a place: colors of its far and near ground, its horizon, its texture
    KINDS    a function that sketches a class, with the scenes and poses of its images

A sketch paints shapes one over the other, in model coordinates (see `canvas.Sketch`). The order in
which it takes random numbers is part of the drawing: changing it changes the bytes of every image.
"""

from collections.abc import Callable
from typing import NamedTuple

from assignment.cifar10.painting import RGB, Int16, Pose, Sketch, darker

# ----- colors and scenes ------------------------------------------------------------------------

WHITE, SILVER, GRAY = (232, 232, 230), (176, 178, 182), (128, 130, 132)
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
    """A place of images. Lengths are in pixels."""

    far: Palette  # above the horizon
    near: Palette  # below it
    uprights: Palette  # trunks, houses, furniture, on the horizon
    crowded: int  # percentage of images that have each of three uprights
    horizon: tuple[int, int]  # range of rows
    sharpness: int  # coverage per row at the horizon: 64 is a line, 2 blends over the image
    roughness: int  # of the texture


SKY = Scene((BLUE, PALE, OVERCAST), (PALE, BLUE, WHITE), (WHITE, GRAY, PALE), 0, (4, 36), 2, 10)
SEA = Scene((PALE, OVERCAST, BLUE), (DEEP, TEAL, GRAY), (MOSS, GRAY, WHITE), 25, (9, 20), 32, 8)
MEADOW = Scene((PALE, PINE, MOSS), (LEAF, MOSS, STRAW), (PINE, MOSS, BARK), 30, (3, 18), 16, 14)
FOREST = Scene((PINE, MOSS, BARK), (MOSS, EARTH, LEAF), (BARK, BLACK, PINE), 75, (8, 26), 8, 22)
ROAD = Scene((PALE, OVERCAST, PINE), (TAR, GRAY, SILVER), (BRICK, GRAY, PINE), 65, (6, 18), 24, 9)
ROOM = Scene((CREAM, EARTH, GRAY), (BRICK, CREAM, BARK), (WINE, WHITE, BLACK), 55, (10, 28), 24, 8)
GROUND = Scene((MOSS, EARTH, PINE), (EARTH, LEAF, GRAY), (STRAW, BARK, LEAF), 20, (2, 30), 4, 22)
STUDIO = Scene((WHITE, BLACK, SILVER), (WHITE, GRAY, BLACK), (GRAY, GRAY, GRAY), 0, (4, 28), 4, 4)
SCENES = (SKY, SEA, MEADOW, FOREST, ROAD, ROOM, GROUND, STUDIO)


# ----- the classes -------------------------------------------------------------------------------

# A color that occurs twice is twice as likely.
PAINTWORK = (RED, RED, RED, SILVER, WHITE, NAVY, YELLOW, BLACK)
CAT_FUR = (GRAY, GINGER, BLACK, FAWN, SILVER, BARK)
DOG_FUR = (CREAM, FAWN, CHESTNUT, BLACK, WHITE, GINGER)
DEER_COAT = (FAWN, CHESTNUT, GINGER, TAN)
FROG_SKIN = (LIME, OLIVE, LIME, MOSS, EARTH, YELLOW)
HORSE_COAT = (CHESTNUT, BARK, CHESTNUT, FAWN, BLACK, WHITE)


def airliner(s: Sketch) -> None:
    body = s.dice.color(WHITE, WHITE, SILVER, GRAY, NAVY)
    wing, livery = darker(body), s.dice.color(RED, NAVY, WHITE, GRAY)
    s.polygon(wing, (-30, -8), (-95, -85), (-65, -85), (35, -8))
    s.polygon(livery, (-205, -8), (-225, -100), (-185, -100), (-110, -8))
    s.ellipse(body, 0, 0, 215, 36)
    s.box(darker(wing), 10, -8, 150, 5)
    s.polygon(wing, (-35, 10), (55, 10), (-60, 105), (-100, 105))
    s.polygon(wing, (-190, 2), (-140, 2), (-190, 34), (-215, 34))
    s.ellipse(livery, 5, 48, 34, 15)


def jet_from_above(s: Sketch) -> None:
    body = s.dice.color(WHITE, SILVER, GRAY, BLACK, TAR)
    both = s.folded()
    both.polygon(darker(body), (0, -60), (210, 65), (210, 95), (0, 40))
    both.polygon(darker(body), (0, 125), (80, 185), (80, 205), (0, 185))
    s.ellipse(body, 0, 0, 32, 215)
    s.ellipse(s.dice.color(BLACK, NAVY), 0, -150, 14, 26)


def wheels(s: Sketch, y: int, radius: int, *places: int) -> None:
    tyre, hub = s.dice.color(BLACK, tone=10), s.dice.color(SILVER, GRAY)
    for x in places:
        s.ellipse(tyre, x, y, radius, radius)
        s.ellipse(hub, x, y, radius // 2, radius // 2)


def car_from_the_side(s: Sketch) -> None:
    body = s.dice.color(*PAINTWORK)
    glass = s.dice.color(BLACK, TAR, PALE)
    s.ellipse(s.dice.color(BLACK), 0, 98, 230, 22)
    s.polygon(body, (-125, -15), (-75, -85), (60, -85), (120, -15))
    s.polygon(glass, (-100, -18), (-62, -72), (-10, -72), (-10, -18))
    s.polygon(glass, (5, -18), (5, -72), (50, -72), (92, -18))
    s.box(body, 0, 25, 210, 40)
    s.ellipse(body, 0, 10, 222, 40)
    s.box(darker(body), 0, 58, 205, 10)
    s.ellipse(s.dice.color(YELLOW, WHITE), 200, 15, 14, 12)
    wheels(s, 70, 44, -120, 122)


def car_from_the_front(s: Sketch) -> None:
    body, both = s.dice.color(*PAINTWORK), s.folded()
    trim, lamp = s.dice.color(BLACK, TAR), s.dice.color(WHITE, YELLOW)
    s.ellipse(trim, 0, 125, 200, 22)
    both.box(trim, 128, 95, 28, 38)
    s.polygon(body, (-140, -25), (-95, -120), (95, -120), (140, -25))
    s.polygon(s.dice.color(BLACK, TAR, PALE), (-115, -30), (-82, -105), (82, -105), (115, -30))
    s.box(body, 0, 35, 172, 65)
    s.ellipse(body, 0, -15, 165, 40)
    s.box(trim, 0, 40, 75, 20)
    s.box(lamp, 0, 84, 38, 11)
    both.ellipse(lamp, 130, 25, 30, 22)


def perched_bird(s: Sketch) -> None:
    body = s.dice.color(EARTH, GRAY, BLUE, RED, YELLOW, BARK, WHITE, TEAL)
    leg = s.dice.color(BLACK, GINGER)
    s.box(s.dice.color(BARK, EARTH, MOSS), 0, 152, 330, 16)
    s.box(leg, -8, 118, 6, 34)
    s.box(leg, 34, 118, 6, 34)
    s.polygon(darker(body), (-80, 0), (-50, 60), (-205, 120), (-215, 92))
    s.ellipse(body, 0, 20, 112, 82)
    s.ellipse(s.dice.color(CREAM, WHITE, GINGER, GRAY), 48, 42, 62, 60)
    s.polygon(s.dice.color(YELLOW, BLACK, GINGER), (120, -100), (182, -72), (120, -60))
    s.ellipse(body, 78, -78, 62, 58)
    s.ellipse(darker(body), -38, 18, 88, 46)
    s.ellipse(s.dice.color(BLACK, tone=6), 96, -90, 11, 11)


def flying_bird(s: Sketch) -> None:
    body = s.dice.color(BLACK, BARK, WHITE, GRAY, EARTH)
    s.polygon(darker(body), (-55, 0), (-160, -150), (-110, -165), (45, -5))
    s.polygon(body, (-35, 5), (70, -180), (110, -170), (60, 10))
    s.polygon(darker(body), (-80, -10), (-60, 18), (-190, 55), (-195, 5))
    s.ellipse(body, 0, 5, 112, 38)
    s.ellipse(body, 105, -12, 40, 34)
    s.polygon(s.dice.color(YELLOW, BLACK), (132, -26), (190, -8), (132, 6))


def eyes(both: Sketch, y: int, apart: int, size: int, *colors: RGB) -> None:
    both.ellipse(both.dice.color(*colors), apart, y, size, size)
    both.ellipse(both.dice.color(BLACK, tone=6), apart, y, size * 5 // 8, size * 3 // 4)


def cat_head(s: Sketch, fur: Int16, muzzle: Int16) -> None:
    both, pink = s.folded(), s.dice.color(PINK)
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
    cat_head(s, s.dice.color(*CAT_FUR), s.dice.color(WHITE, CREAM))


def sitting_cat(s: Sketch) -> None:
    fur, white = s.dice.color(*CAT_FUR), s.dice.color(WHITE, CREAM)
    s.ellipse(darker(fur), -105, 165, 90, 26)
    s.ellipse(fur, 0, 110, 100, 120)
    s.ellipse(white, 0, 80, 45, 70)
    s.folded().box(fur, 34, 175, 22, 60)
    cat_head(s.moved(0, -75, 40), fur, white)


def dog_face(s: Sketch) -> None:
    fur, muzzle, both = s.dice.color(*DOG_FUR), s.dice.color(CREAM, WHITE, TAN), s.folded()
    s.ellipse(fur, 0, 175, 130, 90)
    s.ellipse(fur, 0, -10, 135, 145)
    both.ellipse(darker(fur), 135, 0, 48, 120)
    s.box(muzzle, 0, -70, 18, 70)
    s.ellipse(muzzle, 0, 70, 78, 70)
    eyes(both, -28, 62, 24, BARK, CHESTNUT)
    s.ellipse(s.dice.color(BLACK, tone=8), 0, 42, 36, 26)
    s.ellipse(s.dice.color(PINK, RED), 0, 118, 24, 30)


def legs(s: Sketch, color: Int16, top: int, foot: int, width: int, *places: int) -> None:
    """Draw tapering legs, every other one in the shade of the body."""
    for i, x in enumerate(places):
        thigh, hoof = width // 2, width // 4
        corners = (x - thigh, top), (x + thigh, top), (x + hoof, foot), (x - hoof, foot)
        s.polygon(darker(color) if i % 2 else color, *corners)


def standing_dog(s: Sketch) -> None:
    fur, nose = s.dice.color(*DOG_FUR), s.dice.color(BLACK, tone=8)
    s.polygon(fur, (-150, -30), (-205, -110), (-185, -120), (-120, -30))
    legs(s, fur, 0, 170, 48, -118, -75, 100, 60)
    s.ellipse(fur, -10, 5, 155, 66)
    s.polygon(fur, (50, -25), (85, -105), (150, -95), (130, 30))
    s.ellipse(fur, 125, -95, 66, 56)
    s.ellipse(s.dice.color(CREAM, WHITE, TAN), 180, -78, 48, 30)
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
    coat, pale = s.dice.color(*DEER_COAT), s.dice.color(CREAM, WHITE)
    antler = s.dice.color(BARK, CREAM, TAN)
    deer_body(s, coat, pale)
    s.polygon(coat, (20, -15), (88, -135), (132, -125), (108, 25))
    s.ellipse(coat, 130, -130, 52, 32)
    s.ellipse(darker(coat), 172, -118, 24, 18)
    s.polygon(coat, (95, -140), (48, -172), (105, -165))
    for x in (60, 135):
        s.polygon(antler, (102, -150), (x - 8, -235), (x + 8, -235), (118, -150))
        s.polygon(antler, (x + 5, -190), (x + 40, -232), (x + 48, -222), (x + 12, -180))


def grazing_deer(s: Sketch) -> None:
    coat, pale = s.dice.color(*DEER_COAT), s.dice.color(CREAM, WHITE)
    deer_body(s, coat, pale)
    s.polygon(coat, (55, -45), (105, -30), (185, 105), (145, 120))
    s.ellipse(coat, 172, 128, 34, 46)
    s.polygon(darker(coat), (165, 95), (212, 50), (192, 105))


def frog(s: Sketch) -> None:
    skin, both = s.dice.color(*FROG_SKIN), s.folded()
    both.ellipse(darker(skin), 150, 75, 62, 72)
    both.ellipse(darker(skin), 150, 140, 80, 20)
    s.ellipse(skin, 0, 40, 150, 115)
    s.ellipse(s.dice.color(CREAM, YELLOW, STRAW), 0, 95, 98, 55)
    s.ellipse(skin, 0, -25, 140, 82)
    s.box(darker(darker(skin)), 0, 8, 98, 6)
    both.ellipse(skin, 78, -90, 46, 44)
    eyes(both, -94, 78, 28, YELLOW, GINGER, BLACK)
    both.box(skin, 60, 130, 18, 34)


def frog_from_above(s: Sketch) -> None:
    skin, both = s.dice.color(*FROG_SKIN), s.folded()
    both.polygon(darker(skin), (40, 60), (190, 30), (200, 70), (60, 125))
    both.polygon(darker(skin), (190, 35), (205, 70), (110, 190), (80, 175))
    both.polygon(darker(skin), (60, -60), (185, -120), (195, -95), (80, -10))
    s.ellipse(skin, 0, 10, 105, 135)
    s.polygon(skin, (-95, -55), (-30, -170), (30, -170), (95, -55))
    s.box(s.dice.color(YELLOW, BARK, LIME), 0, 10, 9, 110)
    eyes(both, -88, 70, 28, YELLOW, GINGER, BLACK)


def horse(s: Sketch) -> None:
    coat, mane = s.dice.color(*HORSE_COAT), s.dice.color(BLACK, BARK, CREAM)
    s.polygon(mane, (-165, -45), (-140, -45), (-175, 110), (-205, 105))
    legs(s, coat, 0, 205, 38, -135, -90, 112, 66)
    s.ellipse(coat, -95, -12, 70, 58)
    s.ellipse(coat, 0, -4, 150, 50)
    s.polygon(coat, (30, -25), (105, -165), (160, -150), (148, 30))
    s.polygon(mane, (30, -40), (92, -178), (124, -172), (72, -25))
    s.polygon(coat, (105, -175), (160, -170), (228, -88), (195, -65))
    s.polygon(coat, (112, -170), (122, -205), (140, -170))
    s.ellipse(s.dice.color(BLACK, tone=6), 160, -142, 9, 9)


def horse_head(s: Sketch) -> None:
    coat, mane = s.dice.color(*HORSE_COAT), s.dice.color(BLACK, BARK, CREAM)
    dark = s.dice.color(BLACK, tone=6)
    s.polygon(coat, (-80, -130), (50, -20), (120, 290), (-240, 290))
    s.polygon(mane, (-95, -165), (-45, -160), (-150, 290), (-270, 290))
    s.ellipse(coat, -5, -55, 88, 92)
    s.polygon(coat, (-50, -150), (35, -145), (195, 65), (115, 140), (-20, 40))
    s.ellipse(coat, 145, 95, 60, 54)
    s.polygon(coat, (-50, -140), (-35, -225), (0, -145))
    s.ellipse(dark, 20, -75, 16, 14)
    s.ellipse(dark, 165, 85, 11, 15)
    s.box(s.dice.color(RED, BARK, NAVY), 75, 30, 8, 90)


def liner(s: Sketch) -> None:
    hull = s.dice.color(NAVY, BLACK, WHITE, RED, GRAY)
    deck, funnel = s.dice.color(WHITE, WHITE, SILVER, CREAM), s.dice.color(RED, BLACK, YELLOW)
    s.box(s.dice.color(BLACK, GRAY), 75, -110, 6, 80)
    s.box(funnel, -45, -105, 26, 50)
    s.box(funnel, 20, -100, 22, 45)
    s.box(deck, -20, -45, 130, 32)
    s.box(deck, -15, -5, 170, 30)
    s.box(darker(hull), -20, -42, 118, 8)
    s.box(darker(hull), -15, 2, 155, 7)
    s.polygon(hull, (-225, 20), (240, 12), (185, 95), (-200, 95))
    s.box(s.dice.color(RED, WHITE, BLACK), -5, 90, 195, 9)
    s.ellipse(s.dice.color(TEAL, WHITE, DEEP), 0, 112, 250, 16)


def sailing_boat(s: Sketch) -> None:
    hull, sail = s.dice.color(WHITE, BARK, NAVY, RED), s.dice.color(WHITE, WHITE, CREAM, RED)
    s.box(s.dice.color(BARK, GRAY), 0, -50, 6, 170)
    s.polygon(sail, (-12, -215), (-12, 70), (-140, 70))
    s.polygon(darker(sail), (14, -190), (135, 70), (14, 70))
    s.polygon(hull, (-175, 92), (190, 85), (140, 145), (-140, 145))
    s.ellipse(s.dice.color(TEAL, WHITE, DEEP), 0, 155, 195, 13)


def lorry_from_the_side(s: Sketch) -> None:
    load = s.dice.color(WHITE, SILVER, WHITE, RED, BLUE, TAR)
    cab, dark = s.dice.color(RED, WHITE, NAVY, YELLOW), s.dice.color(BLACK, TAR)
    s.ellipse(dark, 0, 150, 235, 18)
    s.box(dark, 0, 98, 215, 18)
    s.box(load, -65, -25, 155, 110)
    s.box(darker(load), -65, 62, 155, 10)
    s.polygon(cab, (105, 105), (105, -80), (170, -80), (222, 5), (222, 105))
    s.polygon(s.dice.color(BLACK, PALE), (125, 5), (125, -60), (164, -60), (200, 5))
    wheels(s, 115, 42, -165, -75, 160)


def lorry_from_the_front(s: Sketch) -> None:
    cab, dark, both = s.dice.color(*PAINTWORK), s.dice.color(BLACK, TAR), s.folded()
    s.ellipse(dark, 0, 195, 195, 20)
    both.box(dark, 118, 165, 34, 42)
    s.box(s.dice.color(WHITE, SILVER, TAR), 0, -60, 168, 150)
    s.box(cab, 0, 10, 150, 150)
    s.box(s.dice.color(BLACK, PALE, TAR), 0, -65, 122, 48)
    s.box(dark, 0, 55, 82, 40)
    s.box(s.dice.color(SILVER, GRAY), 0, 138, 160, 18)
    both.ellipse(s.dice.color(WHITE, YELLOW), 115, 95, 24, 20)
    both.box(dark, 172, -45, 11, 34)


class Kind(NamedTuple):
    """A way of drawing a class. A scene that occurs twice is twice as likely."""

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

WAYS = 2  # of drawing a class
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
