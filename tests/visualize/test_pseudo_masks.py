import numpy as np

from e2wsol.visualize.overlay import PREDICTED_COLOR, heat_overlay
from e2wsol.visualize.pseudo_masks import sheet


def test_tiles_show_picture_foreground_prior_and_target():
    picture = np.full((50, 80, 3), 200, np.uint8)
    mask = np.zeros((50, 80, 2), np.uint8)
    mask[:, :40, 0], mask[:, 40:60, 0] = 255, 30  # object, ignored, background
    mask[:25, :, 1] = 100
    drawn = sheet([(picture, mask), (picture, 0 * mask)], side=40)
    assert drawn.shape == (24 + 2 * 44, 4 * 44, 3) and drawn.dtype == np.uint8
    shown, foreground, prior, target = (drawn[24:64, start : start + 40] for start in range(0, 176, 44))
    assert (shown == 200).all()
    gray = np.full((40, 40, 3), 200, np.uint8)
    np.testing.assert_array_equal(foreground[:, :18], heat_overlay(gray, np.full((40, 40), 255, np.uint8))[:, :18])
    np.testing.assert_array_equal(prior[22:], heat_overlay(gray, np.zeros((40, 40), np.uint8))[22:])
    orange = (np.array(PREDICTED_COLOR) + 200) / 2
    np.testing.assert_allclose(target[:20], np.broadcast_to(orange, (20, 40, 3)), atol=1)
    np.testing.assert_allclose(target[20:, :20], np.broadcast_to(orange, (20, 20, 3)), atol=1)
    assert (target[20:, 20:30] == 50).all() and (target[20:, 30:] == 200).all()
    assert (drawn[68:108, 132:172] == 200).all(), "a picture without a mask is all background"
