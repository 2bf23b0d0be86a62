"""Checks the SPOL cases that hold pseudo masks: from a class map to the stored picture and its training target."""

import numpy as np
from report import Report

from e2wsol.localization import pseudo_mask

SIZE = 256
MAP_BOUND = 1e-6  # cv2.resize itself differs in the last bits between machines
MOMENTS_BOUND = 1e-4  # the kit's own, as it stores float32
PRIOR_BOUND = 1e-4


def check_pseudo_mask(case, arrays):
    """Report of one case of stage "pseudo_mask"."""
    report = Report()
    for index, status in enumerate(arrays["status"]):
        ours = pseudo_mask.pseudo_mask(arrays[f"map_{index:02}"], SIZE)
        theirs = {
            name.removesuffix(f"_{index:02}"): value for name, value in arrays.items() if name.endswith(f"_{index:02}")
        }
        if status == 0:
            _check_map(report, theirs, *ours, arrays["image_size"][index])
        else:  # the authors' code raises, ours has no prior
            report.add("prior_of_nothing", np.abs(ours[1]).max())
            report.add("not_finite", np.count_nonzero(~np.isfinite(ours)))
    return report


def _check_map(report, theirs, foreground, prior, image_size):
    report.add("foreground", np.abs(foreground[::2, ::2] - theirs["pred256_sub2"]).max(), MAP_BOUND)
    report.add("prior", np.abs(prior[::2, ::2] - theirs["gaus256_sub2"]).max(), PRIOR_BOUND)
    moments = pseudo_mask.gaussians(foreground)
    report.close("moments", _sorted(moments), _sorted(theirs["gauss"]), relative=MOMENTS_BOUND)
    picture = pseudo_mask.to_picture(foreground, prior, *map(int, image_size))
    report.equal("picture", picture, theirs["fuse_uint8"][..., :2])
    target, weight = pseudo_mask.targets(picture, SIZE)
    report.equal("target", target, theirs["train_mask"])
    report.equal("weight", weight, theirs["train_weight"])


def _sorted(moments):
    """The rows in an order that does not depend on that of the contours."""
    rounded = np.round(np.asarray(moments, np.float64), 3)
    return np.asarray(moments)[np.lexsort(rounded.T[::-1])]
