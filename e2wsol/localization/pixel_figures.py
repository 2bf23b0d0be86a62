"""Figures of a map's pixels against the object's outline, from PixelCounter's histograms."""

import numpy as np

from e2wsol.localization.pxap import EDGES


def pixel_ious(counter):
    """(len(EDGES) - 1,) IoU of the pixels at or above each of EDGES[:-1] with the objects' pixels.

    Summed over all maps before dividing; NaN without an object pixel.
    """
    found = np.cumsum(counter.object_pixels[::-1])[::-1]
    false = np.cumsum(counter.background_pixels[::-1])[::-1]
    union = counter.object_pixels.sum() + false
    return np.divide(found, union, out=np.full(len(found), np.nan), where=counter.object_pixels.sum() > 0)


def piou(counter):
    """PIoU: the peak of `pixel_ious` over thresholds, in [0, 1]; NaN without an object pixel."""
    return float(pixel_ious(counter).max())


def piou_threshold(counter):
    """The lowest threshold on the score map at which the peak is reached."""
    return float(EDGES[np.argmax(pixel_ious(counter))])


def pxap(counter):
    """PxAP in [0, 1]; NaN without an object pixel."""
    return counter.value()
