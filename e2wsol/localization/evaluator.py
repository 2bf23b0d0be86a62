"""Scores of localization maps, one image at a time, for programs with a data loader of their own."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from e2wsol.errors import ArgumentError
from e2wsol.localization import arguments, protocols
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import IOU_THRESHOLDS, LocalizationScorer
from e2wsol.localization.pixel_metrics import piou, piou_threshold, pxap
from e2wsol.localization.protocols import BoxProtocol

_KEYS = {"GT-known Loc": "gt_known_loc", "Top-1 Loc": "top1_loc", "Top-5 Loc": "top5_loc"}


class Evaluator:
    """Localization scores of one protocol over any number of images, in constant memory.

    It needs neither TensorFlow nor a dataset: maps of any program and true boxes in, scores out. The scores equal
    those of `python -m e2wsol.evaluate`, and those of the code that the protocol reproduces (docs/protocols.md).

    Args:
      protocol: name of a box protocol such as "maxboxaccv2", or a BoxProtocol.
      size: side of the square that the network saw, in pixels; boxes are searched and compared there.
      resize_size: side that the image was resized to before the centre was cropped to `size`, such as 256 with a
        `size` of 224; None where it was resized straight to `size`.
      threshold: for GT-known, Top-1 and Top-5 Loc, in [0, 1]: a share of the map's maximum or a score as such, as the
        protocol reads it; None for the protocol's own. MaxBoxAcc looks for its best threshold by itself.
      iou_thresholds: IoUs that count as a hit, in [0, 1].

    Raises:
      ArgumentError: an unknown protocol, or a number out of its range.

    Source: Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020, section 3.3
    (MaxBoxAcc, PxAP), and its extension arXiv:2007.04178 (MaxBoxAccV2).

    Example:
      >>> import numpy as np
      >>> from e2wsol.localization.evaluator import Evaluator
      >>> localization_map = np.zeros((14, 14))
      >>> localization_map[4:10, 4:10] = 1  # the object is at 64..160 of 224 pixels
      >>> evaluator = Evaluator(protocol="maxboxaccv2", iou_thresholds=(0.3, 0.5))
      >>> evaluator.update(localization_map, boxes=[[64, 64, 160, 160]], image_size=(224, 224))
      >>> evaluator.update(localization_map, boxes=[[0, 0, 90, 224]], image_size=(224, 224))
      >>> scores = evaluator.result()
      >>> scores["images"], scores["gt_known_loc_0.5"], scores["max_box_acc_mean"]
      (2, 0.5, 0.5)
    """

    def __init__(
        self,
        protocol: str | BoxProtocol = "maxboxaccv2",
        *,
        size: int = 224,
        resize_size: int | None = None,
        threshold: float | None = None,
        iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    ):
        rules = protocols.get(protocol)
        if threshold is not None:
            rules = dataclasses.replace(rules, default_threshold=arguments.as_share(threshold, "threshold"))
        size = arguments.as_side(size, "size")
        resize_size = size if resize_size is None else arguments.as_side(resize_size, "resize_size")
        if resize_size < size:
            raise ArgumentError("resize_size", resize_size, f"must be at least size={size}, which is cropped from it")
        self._frame, self._protocol = Frame(size=size, resize=resize_size), rules
        self._iou_thresholds = tuple(arguments.as_share(iou, "iou_thresholds") for iou in iou_thresholds)
        if not self._iou_thresholds:
            raise ArgumentError("iou_thresholds", None, "must hold at least one number from 0 to 1")
        self.reset()

    @property
    def protocol(self) -> BoxProtocol:
        """The rules that are scored by; `default_threshold` is the threshold that was asked for."""
        return self._protocol

    def reset(self) -> None:
        """Forgets all images."""
        self._scorer = LocalizationScorer(self._protocol, self._frame, iou_thresholds=self._iou_thresholds)

    def update(
        self,
        localization_map: Any = None,
        *,
        image_size: tuple[float, float],
        boxes: Any = (),
        label: int = 0,
        top5: Any = None,
        mask: Any = None,
        score_map: Any = None,
    ) -> None:
        """Counts one image.

        Arrays may be NumPy's, lists, or a framework's tensors in the computer's memory. An image without boxes does not
        count for the scores of boxes, one without a mask not for those of pixels.

        Args:
          localization_map: (h, w) map of the true class, of any size and range; resized and normalised as the protocol
            does.
          image_size: (width, height) of the original image in pixels.
          boxes: (n, 4) true boxes x0, y0, x1, y1 in pixels of the original image, right and bottom exclusive.
          label: number of the true class.
          top5: (k,) predicted classes, best first, five or all there are, for Top-1 and Top-5; of every image or
            of none.
          mask: (height, width) integers for PxAP and PIoU: 0 background, 1 object, everything else ignored.
          score_map: instead of `localization_map`, (size, size) scores in [0, 1] that are taken as they are.

        Raises:
          ArgumentError: an array of another shape or range, or not exactly one of the two kinds of maps.
        """
        if (localization_map is None) == (score_map is None):
            raise ArgumentError("localization_map", None, "give either this or score_map")
        if score_map is None:
            predicted = self._scorer.boxes_of_map(arguments.as_map(localization_map, "localization_map"))
        else:
            scores = arguments.as_score_map(score_map, self._frame.size, "score_map")
            predicted = self._scorer.boxes_of_score_map(scores)
        image_size = arguments.as_image_size(image_size)
        self._check_classified("top5", 1, int(top5 is not None))
        self._scorer.update_boxes(
            predicted,
            boxes=arguments.as_boxes(boxes, "boxes"),
            image_size=image_size,
            label=label,
            top5=None if top5 is None else arguments.as_classes(top5, "top5"),
            mask=None if mask is None else arguments.as_mask(mask, image_size, "mask"),
        )

    def merge(self, other: "Evaluator") -> None:
        """Adds the images of another Evaluator, such as that of another process (it can be pickled).

        Raises:
          ArgumentError: it was made with other arguments.
        """
        self._check_classified("other", other._scorer.pictures, other._scorer.classified)
        self._scorer.merge(other._scorer)

    def _check_classified(self, argument: str, images: int, classified: int) -> None:
        images, classified = images + self._scorer.pictures, classified + self._scorer.classified
        if classified not in (0, images):
            raise ArgumentError(argument, None, "predicted classes must come with every image or with none")

    def result(self) -> dict[str, float]:
        """The scores of all images so far.

        Returns:
          A dict, in which `{iou}` stands for each IoU threshold, such as 0.5. Scores are in [0, 1]; a score that no
          image counts for is left out.

          - "gt_known_loc_{iou}", "top1_loc_{iou}", "top5_loc_{iou}": at "threshold".
          - "max_box_acc_{iou}": GT-known Loc at the best threshold of this IoU, "best_threshold_{iou}", chosen on the
            images that are scored, as the benchmark does; "max_box_acc_mean": the mean over IoUs (with the protocol
            "maxboxaccv2" and the default IoUs this is MaxBoxAccV2).
          - "top1_cls", "top5_cls": classification.
          - "pxap"; "piou" and the threshold of its peak, "piou_threshold".
          - "threshold": that of the protocol, or the one that was asked for.
          - "images", "images_with_boxes", "images_with_classes", "images_with_masks": counts; "images_left_out": those
            with boxes that the protocol leaves out of its scores at "threshold", since no pixel is above it.
        """
        found = {"threshold": float(self._protocol.default_threshold), **self._counts()}
        found |= self._box_scores() | self._class_scores() | self._pixel_scores()
        return {key: value for key, value in found.items() if not math.isnan(value)}

    def _counts(self) -> dict[str, int]:
        scorer = self._scorer
        counted = scorer.score_at("GT-known Loc", self._iou_thresholds[0], self._protocol.default_threshold)
        return {
            "images": scorer.pictures,
            "images_with_boxes": scorer.located,
            "images_with_classes": scorer.classified,
            "images_with_masks": scorer.pixels.pictures,
            "images_left_out": counted.left_out,
        }

    def _box_scores(self) -> dict[str, float]:
        scorer = self._scorer
        if not scorer.located:
            return {}
        scores = scorer.scores(self._protocol.default_threshold)
        return {
            **{f"{_KEYS[score.metric]}_{score.iou:g}": score.value for score in scores},
            **{f"max_box_acc_{iou:g}": scorer.max_box_acc(iou).value for iou in self._iou_thresholds},
            "max_box_acc_mean": scorer.mean_max_box_acc(),
            **{f"best_threshold_{iou:g}": scorer.best(iou) for iou in self._iou_thresholds},
        }

    def _class_scores(self) -> dict[str, float]:
        top1, top5 = self._scorer.classification()
        return {"top1_cls": top1.value, "top5_cls": top5.value}

    def _pixel_scores(self) -> dict[str, float]:
        pixels = self._scorer.pixels
        if not pixels.object_pixels.any():
            return {}
        return {"pxap": pxap(pixels), "piou": piou(pixels), "piou_threshold": piou_threshold(pixels)}
