"""The embedded data set: articulated creatures on textured backgrounds, drawn by procedure.

Every picture shows one creature in any rotation and scale among distractors. Its small head carries
most of the evidence for the class (a ringed disc that wears the class's colour with probability
`synthetic_head_evidence`, else another class's); the body carries less (bars across the torso, right
with probability `synthetic_body_evidence`). A plain CAM therefore finds the head, and a method that finds the
whole object can be told from it. Boxes and masks are exact. Everything follows from the seed.
"""

import dataclasses
from typing import Any

import cv2
import numpy as np

from e2wsol.config import option

SPLITS = ("train", "val", "test")
_COLOURS = ("red", "lime", "cyan", "violet", "orange", "green", "blue", "pink")
_HUES = (0, 38, 90, 134, 15, 62, 112, 160)  # OpenCV hues, 0..179
_SHIFT = 4  # OpenCV draws in 1/16 pixels


@dataclasses.dataclass(frozen=True)
class SyntheticOptions:
    """Size and difficulty of the embedded data set."""

    synthetic_train: int = option(1600, "synthetic training pictures", minimum=1)
    synthetic_val: int = option(160, "synthetic validation pictures", minimum=0)
    synthetic_test: int = option(400, "synthetic test pictures", minimum=0)
    synthetic_classes: int = option(4, "synthetic classes", minimum=2, maximum=len(_COLOURS))
    synthetic_side: int = option(128, "side of the synthetic pictures, pixels", minimum=32, maximum=4096)
    synthetic_head_evidence: float = option(
        0.9, "probability that the head wears the class's colour", minimum=0.0, maximum=1.0
    )
    synthetic_body_evidence: float = option(
        0.85, "probability that the body wears the class's colour", minimum=0.0, maximum=1.0
    )
    synthetic_seed: int = option(0, "seed of the synthetic pictures", minimum=0)


@dataclasses.dataclass(frozen=True)
class SyntheticPicture:
    """One picture: image (H, W, 3) uint8 RGB, label, boxes (1, 4) exclusive pixels, mask (H, W) 0/1."""

    image: np.ndarray
    label: int
    boxes: np.ndarray
    mask: np.ndarray


def class_names(options: SyntheticOptions) -> list[str]:
    """Names of the classes in label order."""
    return [f"{colour}-headed" for colour in _COLOURS[: options.synthetic_classes]]


def count(options: SyntheticOptions, split: str) -> int:
    """Number of pictures of "train", "val" or "test"."""
    return {
        "train": options.synthetic_train,
        "val": options.synthetic_val,
        "test": options.synthetic_test,
    }[split]


def render(options: SyntheticOptions, split: str, index: int) -> SyntheticPicture:
    """Draws picture `index` of `split`; the same arguments always give the same picture."""
    rng = np.random.default_rng([options.synthetic_seed, SPLITS.index(split), index])
    side = options.synthetic_side
    label = index % options.synthetic_classes
    image = _background(rng, side)
    for _ in range(rng.integers(3, 7)):
        _distractor(image, rng)
    creature = _Creature(options, rng, label)
    mask = np.zeros((side, side), np.uint8)
    creature.draw(image, mask)
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    ys, xs = np.nonzero(mask)
    box = [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]
    return SyntheticPicture(image, label, np.array(box, np.float32), mask)


def _colour(hue: Any, saturation: Any, value: Any) -> list[int]:
    pixel = np.array([[[hue % 180, saturation, value]]], np.uint8)
    return [int(c) for c in cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]]


def _any_colour(rng: np.random.Generator, saturation: tuple[int, int] = (40, 230)) -> list[int]:
    return _colour(rng.integers(180), rng.integers(*saturation), rng.integers(60, 240))


def _background(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise of several scales between two colours, float32 (side, side, 3)."""
    field = np.zeros((side, side), np.float32)
    for cells, weight in ((3, 0.5), (8, 0.3), (24, 0.2)):
        noise = rng.random((cells, cells)).astype(np.float32)
        field += weight * cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    dark, light = (np.array(_any_colour(rng, (10, 110)), np.float32) for _ in range(2))
    return dark + np.clip(field, 0, 1)[..., None] * (light - dark)


def _fixed(points: Any) -> np.ndarray:
    return np.round(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)


def _polygon(canvas: np.ndarray, points: Any, colour: Any) -> None:
    cv2.fillPoly(canvas, [_fixed(points)], colour, cv2.LINE_8, _SHIFT)


def _ellipse_points(centre: Any, axes: tuple[float, float], angle: float, corners: int = 40) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    circle = np.stack([axes[0] * np.cos(t), axes[1] * np.sin(t)], -1)
    return np.asarray(centre) + circle @ _rotation(angle).T


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _capsule_points(start: Any, end: Any, width: float) -> np.ndarray:
    """Outline of a bar with round ends."""
    start, end = np.asarray(start), np.asarray(end)
    angle = np.arctan2(*(end - start)[::-1])
    half = np.linspace(np.pi / 2, 3 * np.pi / 2, 10)
    cap = width / 2 * np.stack([np.cos(half), np.sin(half)], -1)
    turn = _rotation(angle).T
    return np.concatenate([start + cap @ turn, end - cap @ turn])


def _distractor(image: np.ndarray, rng: np.random.Generator) -> None:
    """A disc, bar or polygon in any colour, without the ring that makes a head."""
    side = image.shape[0]
    centre = rng.uniform(0, side, 2)
    size = side * rng.uniform(0.04, 0.13)
    kind, angle = rng.integers(3), rng.uniform(0, 2 * np.pi)
    if kind == 0:
        points = _ellipse_points(centre, (size, size * rng.uniform(0.4, 1)), angle)
    elif kind == 1:
        points = _capsule_points(centre, centre + 2.5 * size * np.array([np.cos(angle), np.sin(angle)]), size * 0.5)
    else:
        points = _ellipse_points(centre, (size, size), angle, corners=int(rng.integers(3, 6)))
    _polygon(image, points, _any_colour(rng))


class _Creature:
    """Torso, neck, head, four jointed legs and a tail, posed at random."""

    def __init__(self, options: SyntheticOptions, rng: np.random.Generator, label: int):
        self.rng = rng
        self.head_hue = _hue(rng, options, label, options.synthetic_head_evidence)
        self.saddle_hue = _hue(rng, options, label, options.synthetic_body_evidence)
        self.coat = _colour(rng.integers(180), rng.integers(0, 60), rng.integers(90, 200))
        side = options.synthetic_side
        self.scale = side * rng.uniform(0.13, 0.24)
        self.turn = _rotation(rng.uniform(0, 2 * np.pi))
        reach = 1.3 * self.scale
        self.centre = rng.uniform(reach, side - reach, 2)

    def place(self, points: Any) -> np.ndarray:
        """Creature units (torso half-length 1) to pixels."""
        return self.centre + self.scale * (np.asarray(points) @ self.turn.T)

    def draw(self, image: np.ndarray, mask: np.ndarray) -> None:
        """Paints the creature over the picture and its outline into the mask."""
        rng = self.rng
        shade = [int(0.8 * c) for c in self.coat]
        for x in (-0.75, -0.5, 0.5, 0.75):
            hip = np.array([x, 0.25])
            knee = hip + 0.45 * _towards(np.pi / 2 + rng.uniform(-0.6, 0.6))
            foot = knee + 0.4 * _towards(np.pi / 2 + rng.uniform(-0.6, 0.6))
            self._part(image, mask, _capsule_points(hip, knee, 0.2), shade)
            self._part(image, mask, _capsule_points(knee, foot, 0.16), shade)
        tail = np.array([-0.95, -0.1]) + 0.6 * _towards(np.pi + rng.uniform(-0.7, 0.9))
        self._part(image, mask, _capsule_points((-0.9, -0.1), tail, 0.12), shade)
        self._part(image, mask, _ellipse_points((0, 0), (1.0, 0.45), 0), self.coat)
        self._saddle(image)
        neck = np.array([0.85, -0.15]) + 0.45 * _towards(rng.uniform(-1.2, 0.2))
        self._part(image, mask, _capsule_points((0.8, -0.1), neck, 0.25), self.coat)
        self._head(image, mask, neck)

    def _part(self, image: np.ndarray, mask: np.ndarray | None, points: Any, colour: Any) -> None:
        points = self.place(points)
        _polygon(image, points, colour)
        if mask is not None:
            _polygon(mask, points, 1)

    def _saddle(self, image: np.ndarray) -> None:
        """Bars across the torso in the colour that is some evidence for the class."""
        colour = _colour(self.saddle_hue, 130, 190)
        for x in (-0.55, -0.15, 0.25):
            half = 0.85 * 0.45 * np.sqrt(1 - (abs(x) + 0.1) ** 2)
            self._part(image, None, _capsule_points((x, -half), (x, half), 0.16), colour)

    def _head(self, image: np.ndarray, mask: np.ndarray, centre: np.ndarray) -> None:
        """The ringed disc that is most of the evidence."""
        for radius, colour in ((0.30, (245, 245, 245)), (0.24, _colour(self.head_hue, 240, 230)), (0.09, (15, 15, 15))):
            self._part(image, mask, _ellipse_points(centre, (radius, radius), 0), colour)


def _hue(rng: np.random.Generator, options: SyntheticOptions, label: int, evidence: float) -> int:
    """The class's hue with probability `evidence`, else another class's."""
    others = [hue for index, hue in enumerate(_HUES[: options.synthetic_classes]) if index != label]
    return _HUES[label] if rng.random() < evidence else others[rng.integers(len(others))]


def _towards(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])
