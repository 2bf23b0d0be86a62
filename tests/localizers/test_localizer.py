import cv2
import keras
import numpy as np
import pytest
from localizers.made_methods import CLASSES, IMAGES, LABELS, assert_close, create, direct_gradients, stretched

from e2wsol import methods
from e2wsol.errors import UserError
from e2wsol.localizers import LOCALIZERS, Localizer, LocalizerOptions
from e2wsol.localizers.formulas import dual_gradients

EVERY = tuple(LOCALIZERS)


@pytest.fixture(scope="module")
def model():
    return create()


def localize(model, labels=LABELS, images=IMAGES, **options):
    """{name: maps} of LocalizerOptions(**options)."""
    return Localizer(model, LocalizerOptions(**options)).localize_layers(images, labels)[1]


def test_dgl_on_one_layer_against_gradients_taken_directly(model):
    chosen = np.eye(CLASSES, dtype=np.float32)[LABELS]
    logits = np.asarray(model(IMAGES, training=False)["logits"])
    powers = np.exp(logits - logits.max(1, keepdims=True))
    weights = powers / powers.sum(1, keepdims=True) - 10 * chosen
    g, q = direct_gradients(model, ["pool4"], [{"logits": chosen}, {"logits": weights}])
    features = model.backbone(IMAGES, training=False)["pool4"]
    found_logits, maps = Localizer(model, LocalizerOptions(localizer=("dgl",), layer=("pool4",))).localize(
        IMAGES, LABELS
    )
    assert_close(found_logits, logits)
    assert_close(maps, dual_gradients(features, g["pool4"], q["pool4"]))


def test_cam_is_the_methods_own_map(model):
    assert_close(localize(model, localizer=("cam",))["cam/features"], model.localize(IMAGES, LABELS)[1])
    deep = create(backbone="mobilenet_v1")
    assert_close(localize(deep, localizer=("cam",))["cam/block13"], deep.localize(IMAGES, LABELS)[1])


def test_dgl_on_the_last_layer_is_cam_after_stretching(model):
    maps = localize(model, localizer=("dgl", "cam"), layer=("features",))
    np.testing.assert_allclose(stretched(maps["dgl/features"]), stretched(maps["cam/features"]), atol=1e-5)


def test_all_layers_are_those_asked_for_one_by_one(model):
    names = EVERY[1:]
    maps = localize(model, localizer=EVERY, layer=("all",))
    layers = [*model.backbone.output, "features"]
    assert list(maps) == ["cam/features"] + [f"{name}/{layer}" for name in names for layer in layers]
    for layer in ("conv1_1", "pool3", "conv5_2", "features"):
        for name in ("dgl", "gradcam", "gradcampp"):
            [single] = localize(model, localizer=(name,), layer=(layer,)).values()
            assert single.shape == maps[f"{name}/{layer}"].shape
            largest = np.abs(single).max()
            np.testing.assert_allclose(maps[f"{name}/{layer}"], single, rtol=0, atol=1e-4 * largest)


def test_usual_layers_and_order():
    assert [*localize(create(), localizer=EVERY)] == [
        *("cam/features", "gradcam/features", "gradcampp/features", "layercam/features"),
        *("dgl/conv5_1", "sgl_g1/conv5_1", "sgl_g2/conv5_1"),
    ]
    assert [*localize(create(), localizer=("dgl",), layer=("features", "pool2"))] == ["dgl/pool2", "dgl/features"]
    # No linear classifier on pooled features: the last end point.
    assert [*localize(create("bas"), localizer=("layercam",))] == ["layercam/conv5_3"]


@pytest.mark.parametrize("method", [name for name, method in methods.METHODS.items() if method.classifies])
def test_on_every_method(method):
    maps = localize(create(method), localizer=("dgl", "gradcam"), layer=("conv4_3", "conv5_2"))
    for each in maps.values():
        assert np.isfinite(each).all() and np.ptp(np.asarray(each), axis=(1, 2)).max() > 0


def test_not_on_a_method_without_classes():
    with pytest.raises(UserError, match="localizer=dgl: SPOLSeg predicts no class"):
        localize(create("spol_seg"), localizer=("dgl",))


def test_labels_as_methods_take_them(model):
    localizer = Localizer(model, LocalizerOptions(localizer=("layercam",), layer=("conv5_2",)))
    logits, predicted = localizer.localize(IMAGES)
    assert_close(predicted, localizer.localize(IMAGES, np.argmax(logits, axis=1))[1])
    every = localizer.localize(IMAGES, np.tile(np.arange(CLASSES), (3, 1)))[1]
    assert every.shape == (3, CLASSES, *predicted.shape[1:])
    assert_close(np.asarray(every)[np.arange(3), LABELS], localizer.localize(IMAGES, LABELS)[1])


@pytest.mark.parametrize(("fusion", "combine"), [("mean", np.mean), ("max", np.max)])
def test_layers_become_one_map(model, fusion, combine):
    options = {"localizer": ("dgl",), "layer": ("conv5_1", "pool3")}
    apart = localize(model, **options)
    [(name, maps)] = localize(model, **options, layer_fusion=fusion).items()
    assert name == f"dgl/pool3+conv5_1-{fusion}"
    large, small = stretched(apart["dgl/pool3"]), stretched(apart["dgl/conv5_1"])
    side = large.shape[1]
    resized = np.stack([cv2.resize(each, (side, side), interpolation=cv2.INTER_LINEAR) for each in small])
    np.testing.assert_allclose(maps, combine([large, resized], axis=0), atol=1e-4)


def test_scales_are_the_network_at_other_sizes(model):
    options = {"localizer": ("dgl",), "layer": ("conv4_3",)}
    localizer = Localizer(model, LocalizerOptions(**options, scales=(0.5, 1.0)))
    assert localizer.names == ("dgl/conv4_3-scales_0.5_1",)
    logits, maps = localizer.localize(IMAGES, LABELS)
    half = type(model).from_config({**model.get_config(), "image_size": 32})
    half.set_weights(model.get_weights())
    shrunk = keras.ops.image.resize(IMAGES.astype(np.float32), (32, 32), antialias=True)
    shrunk = np.round(np.clip(shrunk, 0, 255)).astype(np.uint8)
    assert_close(logits, (model(IMAGES)["logits"] + half(shrunk)["logits"]) / 2)
    [small], [large] = (localize(*pair, **options).values() for pair in ((half, LABELS, shrunk), (model,)))
    side = large.shape[1]
    resized = np.stack([cv2.resize(each, (side, side)) for each in stretched(small)])
    assert side == 2 * small.shape[1]
    np.testing.assert_allclose(maps, (resized + stretched(large)) / 2, atol=1e-4)


def test_closing_is_opencvs(model):
    options = {"localizer": ("dgl",), "layer": ("pool3",)}
    [plain], [closed] = localize(model, **options).values(), localize(model, **options, closing=3).values()
    kernel = np.ones((3, 3), np.uint8)
    expected = [cv2.morphologyEx(each, cv2.MORPH_CLOSE, kernel) for each in np.asarray(plain)]
    np.testing.assert_array_equal(closed, expected)
    assert np.any(np.asarray(closed) != plain) and np.all(np.asarray(closed) >= plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"localizer": ("dgl",), "layer": ("conv9",)}, "layer=conv9: no such layer; choose among conv1_1"),
        ({"localizer": ("cam",), "layer": ("conv5_1",)}, "layer=conv5_1: cam lies on features alone"),
        ({"localizer": ("dgl",), "closing": 4}, "closing=4: must be odd"),
        ({"localizer": ("dgl",), "scales": ()}, "scales: empty"),
        ({"layer": ("conv5_1",)}, "layer: belongs to a localizer; choose one of cam, gradcam"),
        ({"closing": 3}, "closing: belongs to a localizer"),
    ],
)
def test_wrong_options(model, options, message):
    with pytest.raises(UserError, match=message):
        Localizer(model, LocalizerOptions(**options))


def test_no_cam_without_a_linear_classifier():
    with pytest.raises(UserError, match="localizer=cam: the method's logits are not those of one linear classifier"):
        Localizer(create("bas"), LocalizerOptions(localizer=("cam",)))


def test_scale_that_the_network_cannot_take():
    with pytest.raises(UserError, match=r"^scales: a network trained at 64 pixels cannot take 40 \(image_size=40: BAS"):
        Localizer(create("bas"), LocalizerOptions(localizer=("dgl",), scales=(0.625,)))


def test_several_maps_are_no_single_one(model):
    localizer = Localizer(model, LocalizerOptions(localizer=("dgl",), layer=("pool3", "pool4")))
    with pytest.raises(UserError, match=r"layer=pool3,pool4: 2 maps .dgl/pool3, dgl/pool4."):
        localizer.localize(IMAGES)
