"""How well boxes fit: shares of pictures by IoU, as inline SVG in the manner of curves.py."""

from html import escape

from e2wsol.localization.baselines import CENTRE_BOX
from e2wsol.visualize.curves import Axis, drawing, grid

_TOPS = (0.1, 0.2, 0.3, 0.5, 1.0)


def overlap_chart(result, second=None, names=()):
    """The SVG of the shares of pictures by IoU with the true box; empty where the result has no such counts.

    The method stands against the centre box or, with `second`, against that run's method; arguments as
    in `curves.charts`.
    """
    kind = "validation" if "validation" in _counts(result) else "protocol"
    found = _counts(result).get(kind, {})
    steps = [(names[0] if names else result["method"], found.get(result["method"]), "method")]
    if second:
        steps.append((names[1], _counts(second).get(kind, {}).get(second["method"]), "second"))
    steps.append((CENTRE_BOX, found.get(CENTRE_BOX), "flat"))
    steps = [(name, [count / sum(counts) for count in counts], css) for name, counts, css in steps if _any(counts)]
    if not steps or steps[0][2] != "method":
        return ""
    highest = max(max(shares) for _, shares, _ in steps)
    axis = Axis(1.0, next(top for top in _TOPS if highest <= top))
    edges = [*result["overlaps"]["from"], 1.0]
    parts = [*grid(axis, "IoU with the true box"), *(_steps(axis, edges, *step) for step in reversed(steps))]
    return drawing("Pictures by overlap", parts, [(name, css) for name, _, css in steps])


def _counts(result):
    """{threshold kind: {localizer: pictures in each class of IoU}}."""
    found = {}
    for entry in (result.get("overlaps") or {}).get("counts", []):
        found.setdefault(entry["threshold_from"], {})[entry["localizer"]] = entry["pictures"]
    return found


def _any(counts):
    return counts is not None and sum(counts) > 0


def _steps(axis, edges, name, shares, css):
    corners = [(x, share) for low, high, share in zip(edges, edges[1:], shares) for x in (low, high)]
    points = " ".join(f"{axis.x(x):.1f},{axis.y(share):.1f}" for x, share in [(0, 0), *corners, (1, 0)])
    return f'<polyline class="line {css} steps" points="{points}"><title>{escape(name)}</title></polyline>'
