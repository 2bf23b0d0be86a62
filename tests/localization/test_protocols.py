import matplotlib
import numpy as np
import pytest

from e2wsol.errors import UserError
from e2wsol.localization import protocols
from e2wsol.localization.frame import Frame
from e2wsol.localization.score_map import gray_table


def test_unknown_protocol_lists_the_valid_ones():
    assert protocols.names() == ("bas", "dgl", "e2net", "maxboxacc", "maxboxaccv2", "mnpo", "pxap", "spol")
    with pytest.raises(UserError, match="wsol: unknown; choose one of bas, dgl, e2net, maxboxacc, maxboxaccv2, mnpo, "):
        protocols.get("wsol")
    assert protocols.get(protocols.get("bas")) is protocols.get("bas")


def test_grids_of_the_references():
    assert protocols.get("maxboxacc").thresholds == tuple(np.arange(0, 1, 0.001))
    assert protocols.get("bas").thresholds == protocols.get("e2net").thresholds
    assert len(protocols.get("mnpo").thresholds) == 30
    assert {0.07, 0.09, 0.1, 0.2} < set(protocols.get("e2net").thresholds)


def test_only_spol_leaves_pictures_out():
    rules = [protocols.get(name) for name in protocols.names()]
    assert [protocol.name for protocol in rules if protocol.skip_empty or protocol.drop_outside] == ["spol"]
    assert [protocol.name for protocol in rules if protocol.every_contour] == ["maxboxaccv2"]


def test_frames_follow_the_pipeline():
    assert protocols.get("e2net").frame(224) == Frame(size=224, resize=256)
    assert protocols.get("bas").frame(224) == Frame(size=224, resize=256)
    assert protocols.get("e2net").frame(112) == Frame(size=112, resize=128)
    assert protocols.get("maxboxacc").frame(64) == Frame(size=64, resize=64)


def test_cubehelix_is_matplotlibs():
    colours = matplotlib.colormaps["cubehelix"](np.arange(256))[:, :3].astype(np.float32)
    weights = np.array((0.299, 0.587, 0.114))
    gray = gray_table("cubehelix")
    assert np.abs(gray - (colours * 255).astype(np.uint8) @ weights).max() <= 0.51
    assert np.all(np.diff(gray.astype(int)) >= 0)
    assert len(np.unique(gray)) == 208


def test_frame_maps_boxes_back():
    assert Frame(size=100, resize=100).to_picture((10, 20, 50, 100), (200, 50)).tolist() == [20, 10, 100, 50]
    cropped = Frame(size=224, resize=256)
    boxes = cropped.to_picture([(0, 0, 224, 224), (-16, 84, 240, 112)], (512, 256))
    assert boxes.tolist() == [[32, 16, 480, 240], [0, 100, 512, 128]]
    assert boxes.dtype == np.float32
