"""The score table as plain text, for the terminal."""

from e2wsol.visualize.results import THRESHOLD_KINDS, averaging, cropping, score_rows, threshold_of, value_of

_HEADS = ("protocol's t", "chosen on validation", "best on this split", "pictures")


def score_table(result):
    """Every score of a result as aligned text: one row a metric and localizer, in per cent.

    Columns: at the protocol's threshold, at the one chosen on the validation split, at the best one
    of the scored split (with the threshold in brackets), and the number of pictures counted. Where
    scores are means over classes, or classes were predicted from ten crops, the text says so.

    Args:
      result: the dict of result.json.

    Returns:
      The table's lines, without a line break at the end.
    """
    cells = [("", *_HEADS)]
    last = None
    for row in score_rows(result):
        group = f"{row.metric}, IoU {row.iou:g}"
        if group != last:
            cells.append((group, "", "", "", ""))
            last = group
        scores = [_cell(row.scores.get(kind)) for kind in THRESHOLD_KINDS]
        pictures = str(next(iter(row.scores.values()))["pictures"])
        cells.append((f"  {row.localizer}", *scores, pictures))
    return "\n".join([_heading(result), "", *_aligned(cells), "", *_footer(result)])


def _heading(result):
    data = result["dataset"]
    scale = ", ".join(filter(None, ("scores in %", averaging(result), "t = threshold")))
    where = f"{data.get('name', '?')} ({data.get('split', '?')})"
    return f"{result['method']} on {where}, protocol {result['protocol']}, {scale}"


def _cell(score):
    value = value_of(score)
    if value is None:
        return "-"
    threshold = threshold_of(score)
    return f"{100 * value:.1f}" + ("" if threshold is None else f" (t {threshold:.3f})")


def _aligned(cells):
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(map(_padded, row, widths, range(len(row)))).rstrip() for row in cells]


def _padded(cell, width, column):
    return cell.rjust(width) if column else cell.ljust(width)


def _footer(result):
    lines = [
        f"Classification {name.replace('top', 'Top-')}: {100 * value:.1f}"
        for name, value in result["classification"].items()
        if value is not None
    ]
    if cropping(result):
        lines.append(f"Classes predicted from: {cropping(result)}")
    lines += [f"PxAP {localizer}: {100 * value:.1f}" for localizer, value in (result.get("pxap") or {}).items()]
    return lines
