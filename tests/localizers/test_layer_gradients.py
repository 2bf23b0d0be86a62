import keras
import numpy as np
import pytest
import tensorflow as tf
from localizers.made_methods import (
    CLASSES,
    IMAGES,
    WEIGHTS,
    assert_close,
    create,
    direct_gradients,
    layer_names,
)

from e2wsol import methods
from e2wsol.errors import UserError
from e2wsol.localizers.layer_gradients import LayerGradients
from e2wsol.localizers.network import Network

COTANGENTS = [{"logits": weights} for weights in WEIGHTS]
DEEP = [pytest.param(name, marks=pytest.mark.slow) for name in ("resnet50", "inception_v3", "resnet50_se")]


def check(model, layers, cotangents=COTANGENTS):
    """Outputs are the method's, features the network's, gradients those of one tape over the whole network."""
    found = LayerGradients(model, layers)(IMAGES)
    for name, output in model(IMAGES, training=False).items():
        assert_close(found.outputs[name], output)
    network = model.backbone(IMAGES, training=False)
    for layer in set(layers) & set(network):
        assert_close(found.features[layer], network[layer])
    gradients, expected = found.gradients(cotangents), direct_gradients(model, layers, cotangents)
    assert [set(each) for each in gradients] == [set(layers)] * len(cotangents)
    for one, other in zip(gradients, expected):
        for layer in layers:
            assert_close(one[layer], other[layer])


@pytest.mark.parametrize("backbone", ["vgg16", pytest.param("mobilenet_v1", marks=pytest.mark.slow), *DEEP])
def test_every_layer_against_one_tape(backbone):
    model = create(backbone=backbone)
    check(model, layer_names(model))


@pytest.mark.parametrize("method", [name for name, method in methods.METHODS.items() if method.classifies])
def test_every_method_at_layers_above_and_below_what_its_heads_read(method):
    model = create(method)
    check(model, ["conv3_3", "conv5_1", "conv5_3"])
    check(model, ["conv5_2"])


def test_layers_inside_the_heads():
    check(create("e2net"), ["conv4_3", "horizontal_relu", "vertical_features"])
    model = create("mnpo")
    both = [{"branch_logits": WEIGHTS[0]}, {"logits": WEIGHTS[1], "branch_logits": WEIGHTS[0]}]
    check(model, ["branch_concat1", "branch_layer2_relu", "conv4_2"], both)


def test_gradients_of_other_outputs():
    model = create("bas")
    rng = np.random.default_rng(3)
    weights = {name: rng.normal(size=(3, *model.output[name].shape[1:])).astype("float32") for name in model.output}
    # "trunk" is itself a layer of the backbone, "saliency" stands on it, "class_maps" on the last one.
    for cotangent in ({"trunk": weights["trunk"]}, {"saliency": weights["saliency"]}, weights):
        found, expected = LayerGradients(model, ["conv4_1"])(IMAGES), direct_gradients(model, ["conv4_1"], [cotangent])
        assert_close(found.gradients([cotangent])[0]["conv4_1"], expected[0]["conv4_1"])


def test_what_an_output_does_not_depend_on_gets_zeros():
    found = LayerGradients(create("mnpo"), ["features", "conv5_3"])(IMAGES)
    branch, main = found.gradients([{"branch_logits": WEIGHTS[0]}, {"logits": WEIGHTS[0]}])
    assert np.all(branch["features"] == 0) and np.any(main["features"] != 0)
    assert np.any(branch["conv5_3"] != 0)


def test_pictures_do_not_mix():
    model = create("mnpos", image_size=32)
    images = np.random.default_rng(5).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    weights = np.random.default_rng(6).normal(size=(64, CLASSES)).astype(np.float32)
    layer_gradients = LayerGradients(model, ["conv4_3", "conv5_2"])
    [every] = layer_gradients(images).gradients([{"logits": weights, "branch_logits": weights}])
    for index in (0, 31, 63):
        one = slice(index, index + 1)
        [single] = layer_gradients(images[one]).gradients([{"logits": weights[one], "branch_logits": weights[one]}])
        for layer, gradient in single.items():
            assert_close(every[layer][one], gradient, 1e-5)


def test_graph_and_eager_agree_and_weights_are_the_methods_own():
    model = create()
    layer_gradients = LayerGradients(model, ["pool4", "conv5_2"])
    graph = tf.function(lambda images: layer_gradients(images).gradients(COTANGENTS))
    graph(IMAGES)
    model.get_layer("linear").kernel.assign_add(np.ones(model.get_layer("linear").kernel.shape))
    expected = direct_gradients(model, ["pool4", "conv5_2"], COTANGENTS)
    for found in (graph(IMAGES), layer_gradients(IMAGES).gradients(COTANGENTS)):
        for one, other in zip(found, expected):
            for layer, gradient in other.items():
                assert_close(one[layer], gradient)


def test_nothing_below_the_shallowest_layer_is_differentiated():
    """The graph holds one convolution a layer, and input gradients above the layer alone: none of any kernel."""
    model = create()
    layer_gradients = LayerGradients(model, ["conv5_1"])
    graph = (
        tf.function(lambda images: layer_gradients(images).gradients(COTANGENTS)).get_concrete_function(IMAGES).graph
    )
    # As the runtime sees it: what no result needs is dropped.
    kept = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), [out.op.name for out in graph.outputs])
    kinds = [node.op for node in kept.node]
    assert kinds.count("Conv2D") == 14 and kinds.count("Conv2DBackpropFilter") == 0
    # conv5_2, conv5_3 and the head's, for either gradient.
    assert kinds.count("Conv2DBackpropInput") == 2 * 3


def test_cutting_leaves_the_method_as_it_is(tmp_path):
    model = create("e2net")
    names = [weight.path for weight in model.weights]
    layer_gradients = LayerGradients(model, ["conv5_1", "horizontal_relu"])
    layer_gradients(IMAGES).gradients(COTANGENTS)
    assert [weight.path for weight in model.weights] == names
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(IMAGES)["logits"], model(IMAGES)["logits"])
    check(again, ["conv5_1", "horizontal_relu"])
    check(model, ["conv5_1", "horizontal_relu"])


def test_maps_with_two_names_and_the_features_under_the_classifier():
    model = create(backbone="resnet50", width=0.03)
    network = Network(model)
    assert network.find("group3") == network.find("group3_block2")
    assert network.name_of(network.find("group3")) == network.under_linear_classifier() == "group3_block2"
    found = LayerGradients(model, ["group3", "group3_block2"])(IMAGES)
    [gradients] = found.gradients(COTANGENTS[:1])
    np.testing.assert_array_equal(gradients["group3"], gradients["group3_block2"])
    assert (
        Network(create()).under_linear_classifier() == Network(create("mnpo")).under_linear_classifier() == "features"
    )
    assert (
        Network(create("e2net")).under_linear_classifier() is None
        and Network(create("bas")).under_linear_classifier() is None
    )


def test_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = LayerGradients(create(), ["conv5_1"])(IMAGES)
    finally:
        keras.config.set_dtype_policy("float32")
    [gradients] = found.gradients(COTANGENTS[:1])
    expected = direct_gradients(create(), ["conv5_1"], COTANGENTS[:1])
    assert gradients["conv5_1"].dtype == "float16" and found.outputs["logits"].dtype == "float32"
    assert_close(np.asarray(gradients["conv5_1"], np.float32), expected[0]["conv5_1"], 0.05)


def test_unknown_layer_lists_the_names():
    with pytest.raises(UserError, match=r"layer=conv6: no such layer; choose among conv1_1, .*conv5_3, features$"):
        LayerGradients(create(), ["conv6"])
    with pytest.raises(UserError, match=r"^layer=images"):
        LayerGradients(create(), ["images"])
