"""What can be checked of a converted model without the original: its weights, and how pictures reach it."""

import io
import pathlib
from typing import Any

import cv2
import numpy as np
from PIL import Image

from e2wsol import releases
from e2wsol.data import images, picture_files, views
from e2wsol.data.views import PipelineOptions
from e2wsol.localization.iou import pairwise_iou
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.prediction.predictors import MethodPredictor
from e2wsol.releases.formats.source import OpenCheckpoint
from e2wsol.releases.matching import ConversionReport
from e2wsol.trained_run import load_model


def verify(
    model_file: str | pathlib.Path,
    source: OpenCheckpoint,
    report: ConversionReport,
    picture: str | pathlib.Path,
    *,
    view: PipelineOptions,
    protocol: BoxProtocol,
    resize: str,
) -> str:
    """Checks the written file against its source, and our view of a picture against the authors'.

    Args:
      model_file: the written .keras file.
      source: the open file that it was made of.
      report: what became of the source's tensors.
      picture: file of the picture.
      view: PipelineOptions of the evaluation.
      protocol: BoxProtocol.
      resize: "pillow" or "opencv", the library that the authors' evaluation resizes with.

    Returns:
      Lines of text: the model difference and the preprocessing difference.
    """
    model = load_model(model_file)
    differing = different_tensors(model, source, report)
    data = picture_files.read(picture)
    pixels, _ = images.decode(data, picture)
    ours = views.eval_view(pixels, view)
    theirs = authors_view(data, view, resize)
    levels = np.abs(ours.astype(int) - theirs)
    size = view.image_size
    one, other = MethodPredictor(model, protocol)([ours, theirs], [(size, size)] * 2)
    moved = np.abs(one.map - other.map).max()
    overlap = pairwise_iou(one.boxes, other.boxes, protocol.iou_extent)[0, 0]
    lines = [
        f"model difference: {len(differing)} of {len(report.used)} tensors differ from the file's in any bit"
        + (f" ({', '.join(differing[:3])}, ...)" if differing else ""),
        f"preprocessing difference (the authors resize with {resize}): at most {levels.max()}, on average "
        f"{levels.mean():.2f} of 255 gray levels",
        f"and what comes of it: map at most {moved:.3f} of 1, box IoU {overlap:.3f}",
    ]
    if model.classifies:
        lines[-1] += f", class {one.labels[0]} ({one.scores[0]:.3f}) and {other.labels[0]} ({other.scores[0]:.3f})"
    return "\n".join(lines)


def different_tensors(model: Any, source: OpenCheckpoint, report: ConversionReport) -> list[str]:
    """Their names of the tensors that the model does not hold to the bit."""
    held = releases.variables(model)
    return [
        pair.theirs
        for pair in report.used
        if not np.array_equal(pair.to_theirs(np.asarray(held[pair.ours])), source.read(pair.theirs))
    ]


def authors_view(data: bytes, view: PipelineOptions, resize: str) -> np.ndarray:
    """A picture as the authors' evaluation shows it to their network: uint8 RGB (S, S, 3).

    Args:
      data: bytes of the picture's file.
      view: PipelineOptions.
      resize: "pillow" (bilinear over the area that a pixel covers) or "opencv" (bilinear between four pixels).
    """
    size = view.image_size if view.eval_crop == "none" else view.resize_size
    if resize == "pillow":
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    else:
        decoded: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        pixels = decoded[..., ::-1].astype(np.float32)
        pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    start = (size - view.image_size) // 2
    return pixels[start : start + view.image_size, start : start + view.image_size]
