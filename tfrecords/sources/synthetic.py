"""The embedded data set of `e2wsol.data.synthetic`, drawn in the worker processes."""

import dataclasses

import numpy as np

from e2wsol.data import synthetic
from tfrecords.items import Item, Listing, RawPicture


@dataclasses.dataclass(frozen=True)
class SyntheticItem(Item):
    """One picture that is still to be drawn."""

    options: synthetic.SyntheticOptions
    split: str
    index: int

    @property
    def filename(self) -> str:
        """The name it would have as a file."""
        return f"{self.source_id.replace('/', '_')}.jpg"

    def read(self) -> RawPicture:
        """Draws it."""
        made = synthetic.render(self.options, self.split, self.index)
        return RawPicture(made.image, np.asarray(made.boxes), lambda height, width: made.mask)


def list_pictures(options: synthetic.SyntheticOptions) -> Listing:
    """The `Listing` of the synthetic data set that `options` describe."""
    classes = tuple(synthetic.class_names(options))
    splits = {}
    for split in synthetic.SPLITS:
        items = [_item(options, split, index) for index in range(synthetic.count(options, split))]
        if items:
            splits[split] = items
    return Listing("synthetic", classes, splits)


def _item(options: synthetic.SyntheticOptions, split: str, index: int) -> SyntheticItem:
    return SyntheticItem(f"{split}/{index:06d}", index % options.synthetic_classes, options, split, index)
