import numpy as np
import pytest

from e2wsol.visualize import overlay


def gray(height=60, width=80):
    return np.full((height, width, 3), 100, np.uint8)


def colored(image, color):
    return np.argwhere((image == color).all(-1))


def test_box_is_drawn_just_inside_its_edges():
    drawn = overlay.draw_boxes(gray(), [[10, 20, 50, 45]], (255, 0, 0), thickness=1)
    rows, columns = colored(drawn, (255, 0, 0)).T
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (10, 20, 50, 45)
    assert {(20, 10), (44, 49), (30, 10), (20, 30)} <= set(zip(rows, columns))
    assert (drawn[32, 30] == 100).all()


def test_dashed_box_has_gaps_and_its_corners():
    drawn = overlay.draw_boxes(gray(), [[10, 10, 70, 50]], (255, 0, 0), dashed=True, thickness=1)
    top = (drawn[10, 10:70] == (255, 0, 0)).all(-1)
    assert top[0] and top[-1] and 0.4 < top.mean() < 0.8


def test_padding_boxes_are_left_out():
    drawn = overlay.draw_boxes(gray(), [[-1, -1, -1, -1]], (255, 0, 0))
    np.testing.assert_array_equal(drawn, gray())


@pytest.mark.parametrize("box", [[5, 5, 5, 5], [-20, -20, 200, 200], [79, 59, 80, 60]])
def test_odd_boxes_do_not_fail(box):
    assert overlay.draw_boxes(gray(), [box], (255, 0, 0)).shape == (60, 80, 3)


def test_inputs_stay_untouched_and_kinds_differ_in_colour():
    image = gray()
    drawn = overlay.picture_with_boxes(image, [[5, 5, 40, 40]], [[30, 20, 70, 55]])
    np.testing.assert_array_equal(image, gray())
    assert len(colored(drawn, overlay.PREDICTED_COLOR)) and len(colored(drawn, overlay.TRUE_COLOR))


def test_heat_overlay_brightens_with_the_score():
    ramp = np.linspace(0, 1, 80)[None].repeat(60, 0)
    brightness = overlay.heat_overlay(gray(), ramp).astype(float).mean((0, 2))
    assert brightness[-1] - brightness[0] > 80
    assert (np.diff(brightness) > -2).all()


def test_heat_overlay_takes_bytes_and_fractions_alike():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(overlay.heat_overlay(gray(), levels), overlay.heat_overlay(gray(), levels / 255.0))


def test_transparent_heat_is_the_picture():
    np.testing.assert_array_equal(overlay.heat_overlay(gray(), np.ones((4, 4)), opacity=0.0), gray())


def test_tile_is_picture_gap_overlay():
    image, score_map = gray(), np.zeros((7, 7))
    tile = overlay.tile(image, score_map)
    assert tile.shape == (60, 80 + 4 + 80, 3) and tile.dtype == np.uint8
    np.testing.assert_array_equal(tile[:, :80], image)
    np.testing.assert_array_equal(tile[:, 84:], overlay.heat_overlay(image, score_map))


def test_tile_scales_boxes_with_the_picture():
    tile = overlay.tile(gray(), np.zeros((7, 7)), predicted=[[20, 15, 60, 45]], side=320)
    assert tile.shape == (240, 644, 3)
    rows, columns = colored(tile, overlay.PREDICTED_COLOR).T
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (80, 60, 240, 180)


def test_caption_adds_a_legend_of_what_is_there():
    def legend(**boxes):
        return overlay.tile(gray(), np.zeros((7, 7)), side=320, caption="Möwe 0.93", **boxes)[240:]

    box = [[20, 15, 60, 45]]
    assert len(colored(legend(predicted=box), overlay.PREDICTED_COLOR))
    assert not len(colored(legend(predicted=box), overlay.TRUE_COLOR))
    assert len(colored(legend(predicted=box, true=box), overlay.TRUE_COLOR))


def test_pseudo_masks_are_shown_as_picture_foreground_prior_and_target():
    picture = np.full((50, 80, 3), 200, np.uint8)
    mask = np.zeros((50, 80, 2), np.uint8)
    mask[:, :40, 0], mask[:, 40:60, 0] = 255, 30  # object, ignored, background
    mask[:25, :, 1] = 100
    drawn = overlay.pseudo_mask_sheet([(picture, mask), (picture, 0 * mask)], side=40)
    assert drawn.shape == (24 + 2 * 44, 4 * 44, 3) and drawn.dtype == np.uint8
    shown, foreground, prior, target = (drawn[24:64, start : start + 40] for start in range(0, 176, 44))
    assert (shown == 200).all()
    gray = np.full((40, 40, 3), 200, np.uint8)
    np.testing.assert_array_equal(
        foreground[:, :18], overlay.heat_overlay(gray, np.full((40, 40), 255, np.uint8))[:, :18]
    )
    np.testing.assert_array_equal(prior[22:], overlay.heat_overlay(gray, np.zeros((40, 40), np.uint8))[22:])
    orange = (np.array(overlay.PREDICTED_COLOR) + 200) / 2
    np.testing.assert_allclose(target[:20], np.broadcast_to(orange, (20, 40, 3)), atol=1)
    np.testing.assert_allclose(target[20:, :20], np.broadcast_to(orange, (20, 20, 3)), atol=1)
    assert (target[20:, 20:30] == 50).all() and (target[20:, 30:] == 200).all()
    assert (drawn[68:108, 132:172] == 200).all(), "a picture without a mask is all background"
