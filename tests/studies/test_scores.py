"""What is read from one evaluation."""

from e2wsol.studies import scores


def test_the_accuracy_of_another_network_is_no_score():
    """Top-1 Loc of classes from a file is; whose classes they are, the accuracy would hide."""
    result = {"predictions": None, "classification": {"top1": 0.75}}
    top1 = scores.BY_KEY["top1_class"]
    assert top1.value(scores.EvaluatedCell(result, None)) == 0.75
    assert top1.value(scores.EvaluatedCell({**result, "predictions": "cam/test.jsonl"}, None)) is None
