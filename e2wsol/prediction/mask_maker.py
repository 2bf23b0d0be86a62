"""Pseudo masks of the pictures in record files, by a trained method."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from e2wsol.data import pipeline, record_streams, schema, views
from e2wsol.data.dataset import Dataset, Split
from e2wsol.errors import UserError
from e2wsol.localization.parallel import in_order
from e2wsol.localization.pseudo_mask import pseudo_mask, to_picture
from e2wsol.methods import Method


class MaskMaker:
    """Puts pseudo masks of the true classes into records.

    Args:
      model: Method with class maps.
      info: Dataset that the record files belong to.
      input_size: side that whole pictures are resized to for the network, pixels.
      resize_filter: how they are, one of views.RESIZE_FILTERS.
      batch: pictures a batch; other batches may change the maps' last bits.
      threads: that make and encode masks.
      rules: further arguments of `pseudo_mask`: size, band, min_area.

    Raises:
      UserError: the method has no class maps, or cannot take pictures of that size.
    """

    def __init__(
        self,
        model: Method,
        info: Dataset,
        *,
        input_size: int,
        batch: int,
        threads: int,
        resize_filter: str = views.AUTO,
        **rules: Any,
    ):
        if type(model).class_maps is Method.class_maps:
            raise UserError(f"{type(model).__name__}: a method without class maps; pseudo masks are made of these")
        self.info, self.batch, self.threads, self.rules = info, batch, threads, rules
        self.view = pipeline.PipelineOptions(
            image_size=input_size, resize_size=input_size, eval_crop="none", resize_filter=resize_filter
        )
        pictures = tf.TensorSpec((None, input_size, input_size, 3), tf.uint8)
        localize = model.resized(input_size).localize
        self._localize = tf.function(localize, input_signature=[pictures, tf.TensorSpec((None,), tf.int32)])

    def records(self, split: Split, file: str) -> Iterator[tuple[bytes, bool]]:
        """Yields (serialized record with its pseudo mask, whether its prior has a Gaussian) in a file's order.

        Args:
          split: Split that the file belongs to.
          file: path of a shard.

        Raises:
          UserError: a record cannot be read.
        """
        with self.info.reading(split.name):
            yield from in_order(self._with_mask, self._maps(split, file), self.threads)

    def _maps(self, split, file):
        """Yields (serialized record, class map of its label)."""
        shard = split.shard(file)
        if not shard.count:  # every record of it is left out
            return
        info = dataclasses.replace(self.info, splits={split.name: shard})
        seen = pipeline.eval_dataset(info, self.view, split=split.name, batch=self.batch)
        stored = record_streams.stored(shard).batch(self.batch)
        for view, records in tf.data.Dataset.zip(seen, stored):
            _, maps = self._localize(view["image"], view["label"])
            yield from zip(records.numpy(), maps.numpy())

    def _with_mask(self, record_and_map):
        record, class_map = record_and_map
        foreground, prior = pseudo_mask(class_map, **self.rules)
        with_mask = schema.add_pseudo_mask(record, lambda *size: to_picture(foreground, prior, *size))
        return with_mask, bool(prior.any())
