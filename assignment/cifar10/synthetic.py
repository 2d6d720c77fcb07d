"""Draw a stand-in for CIFAR-10: ten classes of small images, from a seed.

It serves where the real data set has not been downloaded. A person recognizes the images, a linear
classifier finds them about as hard as the real ones, and the files have CIFAR-10's layout.

    painting, drawings  shapes, textures, and a function that sketches each class
    backdrop            a scene (sky, sea, meadow, ...) -> canvas
    photograph          light, fading, contrast and grain -> uint8
    draw_images         a seed -> images and labels
    Disguise            the same images turned, in other colors, their classes renumbered
    write_batches       images and labels -> files, pickled in the dialect of Python 2

The same seed gives the same bytes on every platform and under every numpy (2.0 or later): the only
randomness is the raw output of PCG64, and all arithmetic is on integers.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from assignment.cifar10.batches import Picklable, write_pickle
from assignment.cifar10.drawings import KINDS, SCENES, WAYS, Scene
from assignment.cifar10.painting import (
    COLUMNS,
    LATTICE_POINTS,
    OPAQUE,
    ROWS,
    SIDE,
    Dice,
    Int16,
    Int32,
    Sketch,
    paint,
    scaled,
    texture,
)

__all__ = ["CLASS_NAMES", "DEFAULT_SEED", "Disguise", "draw_images", "write_batches"]

DEFAULT_SEED: int = 231
CLASS_NAMES: tuple[str, ...] = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

# Images per step, which bounds the memory and lets the canvas fit into the processor's cache. Each
# image has its own random words, so this number changes no image.
CHUNK = 64
WORDS_PER_TEXTURE = (LATTICE_POINTS + 7) // 8
TEXTURES = 3  # two in the backdrop, one over everything
WORDS_FOR_GRAIN = 3 * SIDE * SIDE // 8
WORDS_FOR_CHOICES = 96  # scene, pose, colors and light; no kind of image takes more
WORDS_PER_IMAGE = WORDS_FOR_CHOICES + TEXTURES * WORDS_PER_TEXTURE + WORDS_FOR_GRAIN

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


# ----- backdrops ---------------------------------------------------------------------------------

# Percentage of images with any scene, whatever the class. This and the poses set how hard the
# images are, since a linear classifier depends on colors and places.
STRAY = 28

# The scenes as one table per property, to look it up for many images at once.
FAR, NEAR, UPRIGHTS = (np.array([scene[i] for scene in SCENES], np.int16) for i in range(3))
CROWDED, HORIZON, SHARPNESS, ROUGHNESS = (
    np.array([scene[i] for scene in SCENES], np.int32) for i in range(3, 7)
)


def choose_scenes(dice: Dice, scenes: tuple[Scene, ...]) -> Int32:
    """Choose one of the scenes, or now and then any other: indices into SCENES, shape (n,)."""
    usual = np.array([SCENES.index(scene) for scene in scenes], np.int32)
    usual = usual[dice.between(0, len(scenes) - 1)]
    stray = dice.between(0, len(SCENES) - 1)
    return np.where(dice.between(0, 99) < STRAY, stray, usual).ravel()


def backdrop(dice: Dice, scenes: tuple[Scene, ...]) -> Int16:
    """Return a canvas on which each image has one of the scenes."""
    place = choose_scenes(dice, scenes)

    def color(palettes: Int16) -> Int16:
        return dice.vary(palettes[place, dice.between(0, 2).ravel()], tint=16, tone=26)

    def value(table: Int32) -> Int32:
        return table[place].reshape(-1, 1, 1)

    canvas = np.broadcast_to(color(FAR), (len(place), 3, SIDE, SIDE)).copy()
    low, high = value(HORIZON[:, 0]), value(HORIZON[:, 1])
    horizon = low + ((high - low) * dice.between(0, 64) >> 6)
    for _ in range(3):  # before the near ground, which covers their feet
        center, half_width, top = dice.between(0, 31), dice.between(1, 6), dice.between(-4, 16)
        above_or_below = np.maximum(top - ROWS, ROWS - horizon - 2)
        outside = np.maximum(np.abs(COLUMNS - center) - half_width, above_or_below)
        present = dice.between(0, 99) < value(CROWDED)
        paint(canvas, (OPAQUE // 2 - 48 * outside) * present, color(UPRIGHTS))
    slant = dice.around_zero(14) * (COLUMNS - SIDE // 2) >> 6
    below = (ROWS - horizon + slant) * value(SHARPNESS)
    paint(canvas, below + OPAQUE // 2, color(NEAR))

    roughness = (value(ROUGHNESS) * dice.between(20, 64) >> 6).astype(np.int16)
    canvas += texture(dice) * roughness[:, None] >> 6
    canvas[:, 2:] += texture(dice) * np.int16(8) >> 6  # more or less blue: warm and cold patches
    return canvas


# ----- the photograph ----------------------------------------------------------------------------


def photograph(dice: Dice, canvas: Int16) -> Images:
    """Turn a canvas into images (n, 32, 32, 3) uint8.

    The ranges give the pixels the mean, the spread and the leading principal components of the
    real CIFAR-10, so that the same learning rates and regularization suit both.
    """
    canvas = canvas + (texture(dice) * dice.strength(1, 10) >> 6)
    # Light falls off towards one side, mostly to the left or right.
    sideways, downwards = dice.around_zero(64), dice.around_zero(20)
    falloff = sideways * (COLUMNS - SIDE // 2) + downwards * (ROWS - SIDE // 2)
    canvas += (falloff >> 4).astype(np.int16)[:, None]
    # Some images fade towards gray; the weights, of 16, are those of the eye.
    gray = (canvas[:, :1] * 5 + canvas[:, 1:2] * 9 + canvas[:, 2:] * 2) >> 4
    canvas = gray + ((canvas - gray) * np.minimum(dice.strength(16, 230), 72) >> 6)
    canvas = ((canvas - 120) * dice.strength(44, 76) >> 6) + dice.strength(114, 126)
    grain = dice.bytes(3 * SIDE * SIDE).reshape(canvas.shape)
    canvas += grain * dice.strength(2, 8) >> 6
    return np.clip(canvas, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


# ----- the data set ------------------------------------------------------------------------------


def random_source(seed: int) -> np.random.PCG64:
    """Return the source of raw random words; every version of numpy gives the same stream."""
    if seed < 0:
        raise ValueError(f"a seed must be at least 0, not {seed}")
    return np.random.PCG64(seed)


def draw_from(source: np.random.PCG64, num: int) -> tuple[Images, Labels]:
    """Draw images and labels from the words that follow in the source."""
    if num < 1:
        raise ValueError(f"the number of images must be at least 1, not {num}")
    order = np.argsort(source.random_raw(num), kind="stable")
    labels = (np.arange(num, dtype=np.int64) % len(CLASS_NAMES))[order]
    kinds = WAYS * labels + scaled(source.random_raw(num), WAYS)
    images = np.empty((num, SIDE, SIDE, 3), np.uint8)
    for index, kind in enumerate(KINDS):
        members = np.flatnonzero(kinds == index)
        for start in range(0, len(members), CHUNK):
            chunk = members[start : start + CHUNK]
            words = source.random_raw(len(chunk) * WORDS_PER_IMAGE)
            dice = Dice(words.reshape(len(chunk), WORDS_PER_IMAGE))
            sketch = Sketch(dice, backdrop(dice, kind.scenes), kind.pose)
            kind.sketch(sketch)
            images[chunk] = photograph(dice, sketch.canvas)
    return images, labels


def draw_images(num: int, seed: int) -> tuple[Images, Labels]:
    """Draw a data set. The same arguments give the same bytes everywhere.

    Parameters
    ----------
    num : int
        Number of images, at least 1.
    seed : int
        At least 0. Different seeds give different images in a different order.

    Returns
    -------
    images : (num, 32, 32, 3) uint8
        Row, column, and red, green, blue.
    labels : (num,) int64
        Indices into CLASS_NAMES, shuffled. The sizes of the classes differ by at most 1.

    Raises
    ------
    ValueError
        num is less than 1, or the seed is negative.
    """
    return draw_from(random_source(seed), num)


# ----- disguise ----------------------------------------------------------------------------------

# Colors, in which two or three channels stay apart as before, and each changes its place.
CHANNELS = ((1, 2, 0), (2, 0, 1))


class Disguise:
    """Other colors, another orientation and other class numbers, drawn from a seed.

    It defeats weights that were fitted to other images of the stand-in. It changes no distribution
    of a linear classifier's accuracies: it permutes pixels and classes, and training treats all of
    them alike.
    """

    def __init__(self, seed: int) -> None:
        words = random_source(seed).random_raw(13)
        self.classes = np.argsort(words[:10], kind="stable")  # by label: places in CLASS_NAMES
        colors, turns, mirrored = (int(word >> np.uint64(32)) for word in words[10:])
        self.channels = CHANNELS[colors % 2]
        self.quarter_turns = 1 + turns % 3  # an image that is only mirrored looks much the same
        self.mirrored = bool(mirrored % 2)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, by label."""
        return tuple(CLASS_NAMES[place] for place in self.classes)

    def apply(self, images: Images, labels: Labels) -> tuple[Images, Labels]:
        """Return images (N, 32, 32, 3) and labels (N,) of `draw_images` in disguise."""
        images = images[..., self.channels]
        for _ in range(self.quarter_turns):
            images = images.transpose(0, 2, 1, 3)[:, ::-1]
        if self.mirrored:
            images = images[:, :, ::-1]
        return np.ascontiguousarray(images), np.argsort(self.classes)[labels]


# ----- files -------------------------------------------------------------------------------------


def write_batch(path: Path, title: str, images: Images, labels: Labels) -> None:
    """Write a batch file; a row is an image's reds, then its greens, then its blues."""
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
    ``draw_images(5 * images_per_batch, seed)``; ``test_batch`` holds images drawn after those
    from the same source. In ``batches.meta`` an extra key, ``synthetic``, holds the seed, by which
    a reader tells the stand-in from the real data set.

    Parameters
    ----------
    folder : Path
        An existing, empty folder.
    seed : int
        At least 0.
    images_per_batch : int
        Number of images in each of the six batches, at least 1.

    Raises
    ------
    ValueError
        The seed is negative, images_per_batch is less than 1, or the folder is not empty.
    OSError
        The folder does not exist or cannot be written to.
    """
    folder = Path(folder)
    if any(folder.iterdir()):
        raise ValueError(f"the folder {folder} is not empty")
    if images_per_batch < 1:
        raise ValueError(
            f"the number of images per batch must be at least 1, not {images_per_batch}"
        )
    source = random_source(seed)
    images, labels = draw_from(source, 5 * images_per_batch)
    for k in range(5):
        part = slice(k * images_per_batch, (k + 1) * images_per_batch)
        path, title = folder / f"data_batch_{k + 1}", f"synthetic training batch {k + 1} of 5"
        write_batch(path, title, images[part], labels[part])
    title = "synthetic testing batch 1 of 1"
    write_batch(folder / "test_batch", title, *draw_from(source, images_per_batch))
    meta: dict[bytes, Picklable] = {
        b"num_cases_per_batch": images_per_batch,
        b"label_names": [name.encode() for name in CLASS_NAMES],
        b"num_vis": 3 * SIDE * SIDE,
        b"synthetic": int(seed),
    }
    write_pickle(folder / "batches.meta", meta)
