"""The boxes of all levels of a map, from one pass over its pixels; equal to those of OpenCV, level by level."""

from e2wsol.localization.component_tree.tree import (
    COMPONENTS,
    MOST_LEVELS,
    contour_boxes,
    highest_at_levels,
    largest_boxes,
)

__all__ = ["COMPONENTS", "MOST_LEVELS", "contour_boxes", "highest_at_levels", "largest_boxes"]
