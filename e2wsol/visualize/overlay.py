"""Images with boxes and maps drawn on them.

Images are uint8 RGB (H, W, 3), boxes float (n, 4) as x0, y0, x1, y1 in pixels with exclusive right
and bottom edges; nothing is drawn in place. Predicted boxes are solid orange, true boxes dashed blue:
the two differ in colour (also for colour-blind readers) and in line.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from e2wsol.localization.pseudo_mask import targets

PREDICTED_COLOR = (255, 122, 0)
TRUE_COLOR = (64, 190, 255)
_OUTLINE = (16, 16, 16)
_STRIP = (24, 24, 27)
_INK = (235, 235, 235)
_GAP = 4
Color = tuple[int, int, int]
# File of the sheet in a folder of records with pseudo masks.
PSEUDO_MASK_SHEET = "pseudo_masks.png"
_SHEET_TITLES = ("picture", "foreground", "prior", "orange: object, dark: ignored")
_SHEET_TITLE_ROWS = 24


def of_localization(image: np.ndarray, found: Any, *, side: int | None) -> np.ndarray:
    """The `tile` of an image with what was found in it: box, map, class and score of the first class.

    Args:
      image: uint8 RGB (H, W, 3), may be smaller than the image that the boxes belong to.
      found: e2wsol.prediction.predictors.Localization.
      side: see `tile`.
    """
    scale = image.shape[1] / found.image_size[0], image.shape[0] / found.image_size[1]
    return tile(
        image,
        found.map,
        predicted=found.boxes[:1] * (*scale, *scale),
        side=side,
        caption=f"{found.class_name}  {found.score:.2f}",
    )


def heat_overlay(image: np.ndarray, score_map: np.ndarray, *, opacity: float = 0.6) -> np.ndarray:
    """A picture under its score map, coloured from dark violet (0) over orange to pale yellow (1).

    Args:
      image: uint8 RGB (H, W, 3).
      score_map: (h, w), float in [0, 1] or uint8 in [0, 255]; stretched over the picture.
      opacity: weight of the colours against the picture, in [0, 1].

    Returns:
      uint8 RGB (H, W, 3).
    """
    height, width = image.shape[:2]
    levels = gray_levels(score_map, (width, height))
    # OpenCV's tables are BGR.
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    return cv2.addWeighted(np.ascontiguousarray(colors), opacity, image, 1.0 - opacity, 0.0)


def gray_levels(score_map: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """A score map stretched over a picture.

    Args:
      score_map: (h, w), float in [0, 1] or uint8 in [0, 255].
      image_size: (width, height) of the picture in pixels.

    Returns:
      uint8 (H, W), 255 for 1.
    """
    if score_map.dtype != np.uint8:
        score_map = np.round(np.clip(score_map, 0.0, 1.0) * 255).astype(np.uint8)
    return cv2.resize(score_map, image_size, interpolation=cv2.INTER_LINEAR)


def draw_boxes(
    image: np.ndarray, boxes: ArrayLike, color: Color, *, dashed: bool = False, thickness: int | None = None
) -> np.ndarray:
    """A copy of the picture with the boxes' edges drawn just inside them.

    Args:
      image: uint8 RGB (H, W, 3).
      boxes: (n, 4) pixels; rows with a negative right edge are padding and are left out.
      color: RGB triple.
      dashed: draw every second stretch of the edges only.
      thickness: line width in pixels; None takes one that suits the picture's size.
    """
    drawn = image.copy()
    if thickness is None:
        thickness = max(2, round(min(image.shape[:2]) / 110))
    for box in np.asarray(boxes, np.float64).reshape(-1, 4):
        if box[2] < 0:
            continue
        for outline, pen in ((_OUTLINE, thickness + 2), (color, thickness)):
            for start, end in _strokes(box, thickness, dashed):
                cv2.line(drawn, start, end, outline, pen)
    return drawn


def _strokes(box, thickness, dashed):
    """Line segments ((x, y), (x, y)) along the box's edges, as whole pixels."""
    inset = thickness // 2
    x0, y0 = (round(float(value)) + inset for value in box[:2])
    x1, y1 = (round(float(value)) - 1 - inset for value in box[2:])
    x1, y1 = max(x0, x1), max(y0, y1)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    edges = list(zip(corners, corners[1:] + corners[:1]))
    if not dashed:
        return edges
    return [piece for edge in edges for piece in _dashes(*edge, 5 * thickness)]


def _dashes(start, end, length):
    start, end = np.array(start, float), np.array(end, float)
    # An odd number of pieces, so that both corners are drawn.
    count = max(1, round(np.abs(end - start).max() / length)) // 2 * 2 + 1
    points = np.round(np.linspace(start, end, count + 1)).astype(int).tolist()
    return [(tuple(points[i]), tuple(points[i + 1])) for i in range(0, count, 2)]


def picture_with_boxes(image: np.ndarray, predicted: ArrayLike = (), true: ArrayLike = ()) -> np.ndarray:
    """The picture with predicted boxes (solid orange) and true boxes (dashed blue)."""
    return draw_boxes(draw_boxes(image, predicted, PREDICTED_COLOR), true, TRUE_COLOR, dashed=True)


def tile(
    image: np.ndarray,
    score_map: np.ndarray,
    *,
    predicted: Any = (),
    true: Any = (),
    side: int | None = None,
    caption: str | None = None,
) -> np.ndarray:
    """The picture with its boxes beside the picture under its map.

    Args:
      image: uint8 RGB (H, W, 3).
      score_map: (h, w), as in `heat_overlay`; covers the whole picture.
      predicted: predicted boxes (n, 4) in the picture's pixels.
      true: true boxes, likewise.
      side: scale the picture so that its longer side has this many pixels; None keeps its size.
      caption: text of the strip under the tile, which is also the legend; None leaves the strip out.

    Returns:
      uint8 RGB, (h', 2 w' + 4, 3) plus the strip's rows.
    """
    image, scale = scaled(image, side)
    left = picture_with_boxes(image, _boxes(predicted) * scale, _boxes(true) * scale)
    right = heat_overlay(image, score_map)
    gap = np.full((image.shape[0], _GAP, 3), 255, np.uint8)
    pair = np.concatenate([left, gap, right], axis=1)
    if caption is None:
        return pair
    strip = _legend(pair.shape[1], caption, has_predicted=len(predicted) > 0, has_true=len(true) > 0)
    return np.concatenate([pair, strip], axis=0)


def _boxes(boxes):
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def scaled(image: np.ndarray, side: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(picture with `side` pixels along its longer side, (4,) factors of its boxes); None keeps the size."""
    height, width = image.shape[:2]
    if side is None:
        return image, np.ones(4)
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    factors = np.array([size[0] / width, size[1] / height] * 2)
    return cv2.resize(image, size, interpolation=interpolation), factors


def _legend(width, caption, *, has_predicted, has_true):
    """A dark strip of `width` pixels: line samples with their meaning, then the caption."""
    unit = max(1.0, width / 640)
    row = round(26 * unit)
    strip = np.full((2 * row, width, 3), _STRIP, np.uint8)
    x = round(8 * unit)
    for shown, name, color, dashed in (
        (has_predicted, "predicted box", PREDICTED_COLOR, False),
        (has_true, "true box", TRUE_COLOR, True),
    ):
        if shown:
            x = _legend_entry(strip, x, row // 2, unit, name, color, dashed)
    _text(strip, caption, round(8 * unit), row + row // 2, unit)
    return strip


def _legend_entry(strip, x, y, unit, name, color, dashed):
    length, pen = round(30 * unit), max(2, round(2 * unit))
    ends = (x, y), (x + length, y)
    for start, end in _dashes(*ends, 4 * pen) if dashed else [ends]:
        cv2.line(strip, start, end, color, pen)
    return _text(strip, name, x + length + round(6 * unit), y, unit) + round(16 * unit)


def _text(strip, text, x, y, unit):
    """Writes the text around row y; returns the column where it ends.

    OpenCV 4's fonts are ASCII only: accents are dropped and other letters become '?'.
    """
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    text = plain.encode("ascii", "replace").decode("ascii")
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45 * unit
    (width, height), _ = cv2.getTextSize(text, font, size, 1)
    cv2.putText(strip, text, (x, y + height // 2), font, size, _INK, max(1, round(unit)), cv2.LINE_AA)
    return x + width


def pseudo_mask_sheet(samples: Sequence[tuple[np.ndarray, np.ndarray]], *, side: int = 192) -> np.ndarray:
    """Pictures beside their foreground, prior and training target.

    Args:
      samples: list of (picture uint8 RGB (H, W, 3), pseudo mask uint8 (H', W', 2)), not empty.
      side: of a tile, pixels; the aspect ratio is not kept, as in training.

    Returns:
      uint8 RGB picture.
    """
    rows = [_sheet_titles(side), *(_sheet_row(*sample, side) for sample in samples)]
    return np.concatenate(rows, axis=0)


def _sheet_row(picture, mask, side):
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    foreground, prior = (np.ascontiguousarray(mask[..., channel]) for channel in (0, 1))
    tiles = small, heat_overlay(small, foreground), heat_overlay(small, prior), _target_overlay(small, mask)
    return np.concatenate([np.pad(tile, ((0, _GAP), (0, _GAP), (0, 0))) for tile in tiles], axis=1)


def _target_overlay(picture, mask):
    """The picture with its object pixels tinted and the ignored ones darkened."""
    target, weight = targets(mask, picture.shape[0])
    tinted = cv2.addWeighted(picture, 0.5, np.full_like(picture, PREDICTED_COLOR), 0.5, 0.0)
    kept = np.where(weight[..., None] == 1, picture, picture // 4)
    return np.where(target[..., None] == 1, tinted, kept)


def _sheet_titles(side):
    row = np.full((_SHEET_TITLE_ROWS, len(_SHEET_TITLES) * (side + _GAP), 3), 24, np.uint8)
    for column, title in enumerate(_SHEET_TITLES):
        start = column * (side + _GAP) + 4, _SHEET_TITLE_ROWS - 8
        cv2.putText(row, title, start, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (235, 235, 235), 1, cv2.LINE_AA)
    return row
