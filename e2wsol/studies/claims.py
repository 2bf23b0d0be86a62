"""What each method's paper claims, held against a study's differences."""

import dataclasses

# A loss smaller than this counts as none: a share of all pictures.
MARGIN = 0.01


@dataclasses.dataclass(frozen=True)
class Claim:
    """A row's score is above another's, or not below it.

    Attributes:
      row, than: names of Rows.
      text: the claim in words.
      score: key of a score; empty for those that the suite is read by.
      not_below: whether it is enough to lose less than MARGIN.
    """

    row: str
    than: str
    text: str
    score: str = ""
    not_below: bool = False

    def verdict(self, interval, by_seed=()):
        """What a study says of it: ("yes", "no" or "open", why).

        Args:
          interval: 95% interval of the difference, over pictures.
          by_seed: the difference of each seed; where they are on both sides the interval alone decides nothing.
        """
        low, high = interval
        bound = -MARGIN if self.not_below else 0
        if low <= bound <= high:
            return "open", f"the interval contains {100 * bound:.0f}"
        above = low > bound
        if any((each > bound) != above for each in by_seed):
            return "open", "by seed: " + ", ".join(f"{100 * each:+.1f}" for each in by_seed)
        return ("yes", "") if above else ("no", "")


_ABOVE_CAM = ("has", "acol", "spg", "adl", "cutmix", "e2net_released", "e2net_paper", "bas", "mnpo", "mnpos")

CLAIMS = (
    *(Claim(row, "cam", "localizes better than CAM") for row in _ABOVE_CAM),
    *(
        Claim(row, "cam", "classifies no worse than CAM", score="top1_class", not_below=True)
        for row in ("e2net_released", "e2net_paper")
    ),
    Claim("spol_seg", "cam", "localizes better than CAM"),
    Claim("spol_seg", "spol_cam", "the seg stage localizes better than the cam stage"),
    Claim("dgl", "dgl_last", "a middle layer localizes better than the last"),
    Claim("dgl", "cam", "localizes better than CAM"),
    Claim("gradcam", "cam", "localizes better than CAM"),
    Claim("layercam", "cam", "localizes better than CAM"),
)
