"""Scores on split val while a method trains, on the devices that it trains on."""

import math
import typing
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from e2wsol.data import pipeline
from e2wsol.data.dataset import Dataset
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.localization.frame import Frame, boxes_in_frame
from e2wsol.localization.graph import best_ious, extract_boxes
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.methods import Method

IOU_THRESHOLD = 0.5


class Validation:
    """Counts hits over split val, every picture once, in whatever parts the replicas get it.

    Args:
      model: a Method, built under `strategy`.
      strategy: tf.distribute strategy.
      info: Dataset of the records.
      view: PipelineOptions.
      batch_size: global batch.
      protocol: BoxProtocol by which boxes are found in the graph and scored, at its default threshold
        and over pictures; None for classification alone.
    """

    def __init__(
        self,
        model: Method,
        strategy: Any,
        *,
        info: Dataset,
        view: PipelineOptions,
        batch_size: int,
        protocol: BoxProtocol | None = None,
    ):
        self.model, self.strategy = model, strategy
        self.info, self.view, self.batch_size, self.protocol = info, view, batch_size, protocol
        self._step = tf.function(self._distributed)

    @property
    def exists(self) -> bool:
        """Whether the records hold a validation split with pictures."""
        return "val" in self.info.splits and self.info.split("val").count > 0

    def scores(self) -> dict[str, float]:
        """{"val_top1", "val_top5"} in [0, 1] of a classifier and, with a protocol and any true box, "val_gt_known"."""
        totals: dict[str, float] = {}
        if not self.model.classifies and self.protocol is None:
            return totals
        with self.info.reading("val"):
            for batch in self._batches():
                sums = {name: float(value) for name, value in self._step(batch).items()}
                totals = {name: totals.get(name, 0.0) + value for name, value in sums.items()}
        scores = {f"val_{name}": totals[name] / totals["pictures"] for name in ("top1", "top5") if name in totals}
        if totals.get("located"):
            scores["val_gt_known"] = totals["gt_known"] / totals["located"]
        return scores

    def _batches(self) -> Any:
        """Split val in equal batches for every replica; "weight" is 0 on the pictures that fill them up."""
        count = self.info.split("val").count
        replicas = self.strategy.num_replicas_in_sync
        per_replica = max(1, min(self.batch_size, count) // replicas)

        def make(context):
            shards = context.num_input_pipelines
            steps = math.ceil(count / (per_replica * replicas)) * replicas // shards
            dataset = pipeline.eval_pictures(
                self.info, self.view, split="val", shard_index=context.input_pipeline_id, num_shards=shards
            )
            dataset = dataset.map(self._item)
            shape = dataset.element_spec["image"].shape
            filler = {"image": tf.zeros(shape, tf.uint8), "label": 0, "weight": 0.0}
            filler["boxes"] = tf.zeros((0, 4), tf.float64)
            fill = tf.data.Dataset.from_tensors(filler).repeat()
            padding = {"image": tf.constant(0, tf.uint8), "label": 0, "weight": 0.0}
            padding["boxes"] = tf.constant(math.nan, tf.float64)
            dataset = dataset.concatenate(fill).padded_batch(per_replica, padding_values=padding, drop_remainder=True)
            return dataset.take(steps).prefetch(2)

        return self.strategy.distribute_datasets_from_function(make)

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        """A picture's view, label, weight of 1 and true boxes (n, 4) in the frame, n = 0 without a protocol."""
        boxes = tf.zeros((0, 4), tf.float64)
        if self.protocol is not None:
            boxes = tf.numpy_function(self._true_boxes, [item["boxes"], item["size"]], tf.float64)
        return {
            "image": item["image"],
            "label": item["label"],
            "weight": 1.0,
            "boxes": tf.ensure_shape(boxes, (None, 4)),
        }

    def _true_boxes(self, boxes: np.ndarray, size: np.ndarray) -> np.ndarray:
        height, width = size
        protocol = typing.cast(BoxProtocol, self.protocol)
        return boxes_in_frame(boxes, (width, height), Frame.of_view(self.view), protocol)

    def _distributed(self, batch: Any) -> dict[str, Any]:
        sums = self.strategy.run(self._replica, args=(batch,))
        return {name: self.strategy.reduce("SUM", value, axis=None) for name, value in sums.items()}

    def _replica(self, batch: dict[str, Any]) -> dict[str, Any]:
        labels, weight = batch["label"], batch["weight"]
        protocol = self.protocol
        if protocol is None:
            logits, located = self.model(batch["image"], training=False)["logits"], {}
        else:
            logits, maps = self.model.localize(batch["image"], labels)
            located = self._located(maps, batch, protocol)
        sums = {"pictures": tf.reduce_sum(weight), **located}
        if self.model.classifies:
            # Of equal logits the lowest class is first, as `prediction.classes.ranking` has it.
            best = tf.math.top_k(tf.cast(logits, tf.float32), min(5, self.model.num_classes)).indices
            hits = weight[:, None] * tf.cast(best == tf.cast(labels, best.dtype)[:, None], tf.float32)
            sums |= {"top1": tf.reduce_sum(hits[:, 0]), "top5": tf.reduce_sum(hits)}
        return sums

    def _located(self, maps: Any, batch: dict[str, Any], protocol: BoxProtocol) -> dict[str, Any]:
        """Hits of the boxes of maps (b, h, w), and pictures with a true box."""
        _, boxes = extract_boxes(
            maps, size=self.view.image_size, threshold=protocol.default_threshold, protocol=protocol
        )
        present = tf.math.is_finite(batch["boxes"][..., 0])
        ious = best_ious(boxes, tf.where(present[..., None], batch["boxes"], 0.0), present, protocol)
        hits = getattr(ops, protocol.is_hit.__name__)(ious, IOU_THRESHOLD)
        located = batch["weight"] * tf.cast(tf.reduce_any(present, axis=1), tf.float32)
        return {
            "gt_known": tf.reduce_sum(located * tf.cast(hits, tf.float32)),
            "located": tf.reduce_sum(located),
        }
