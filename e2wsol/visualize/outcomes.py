"""What became of a picture, as the one word that the report filters by."""

import numpy as np

# Two boxes of one size that share so much have an IoU of 0.5: what misses with more differs in size.
SHARE = 2 / 3
# By word: the mark and name that the page shows, and the rule. The first rule that holds counts.
OUTCOMES = {
    "hit": ("✓ hit", "The box counts as a hit and the class is right, or no class was predicted."),
    "wrong-class": ("✗ wrong class", "The box counts as a hit, but the predicted class is another one."),
    "no-true-box": ("? no true box", "The picture has no true box to compare with."),
    "too-small": (
        "✗ box too small",
        "No hit; the predicted box is smaller than the true one, and at least two thirds of it lie inside.",
    ),
    "too-big": (
        "✗ box too big",
        "No hit; the predicted box is at least as large as the true one, and holds at least two thirds of it.",
    ),
    "elsewhere": ("✗ elsewhere", "No hit; the two boxes share less than that, or no box was found."),
}


def outcome(predicted, true_boxes, *, hit, label, prediction):
    """The key in OUTCOMES of one picture.

    A miss is judged by the true box of the highest IoU with the predicted one: where they share at
    least SHARE of the smaller of the two, the predicted box is too small or too big, else elsewhere.

    Args:
      predicted: (4,) predicted box; one without an area is no box.
      true_boxes: (n, 4) true boxes; rows with a negative right edge are padding.
      hit: whether the evaluator counted the box as a hit.
      label, prediction: true and predicted class; a negative prediction means none.
    """
    if hit:
        return "hit" if prediction < 0 or prediction == label else "wrong-class"
    true_boxes = np.asarray(true_boxes, np.float64).reshape(-1, 4)
    true_boxes = true_boxes[true_boxes[:, 2] >= 0]
    if not len(true_boxes):
        return "no-true-box"
    predicted = np.asarray(predicted, np.float64)
    area, true_areas, shared = _area(predicted), _area(true_boxes), _shared(predicted, true_boxes)
    nearest = np.argmax(shared / np.maximum(area + true_areas - shared, 1e-9))
    true_area = true_areas[nearest]
    if shared[nearest] == 0 or shared[nearest] < SHARE * min(area, true_area):
        return "elsewhere"
    return "too-small" if area < true_area else "too-big"


def _area(boxes):
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def _shared(box, others):
    """(n,) area that the box has in common with each of the others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    return _area(np.concatenate([low, high], axis=1))


def outcomes(samples):
    """The outcome of every picture in the arrays of samples.npz, as a list."""
    names = ("predicted_boxes", "true_boxes", "hits", "labels", "predictions")
    return [
        outcome(predicted, true, hit=bool(hit), label=int(label), prediction=int(prediction))
        for predicted, true, hit, label, prediction in zip(*(samples[name] for name in names))
    ]
