"""GradCAM, GradCAMPlusPlus, LayerCAM, CAM and DGL on any Keras classifier of images, or on a method of e2wsol."""

import types
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from e2wsol.errors import ArgumentError, choose
from e2wsol.localizers.formulas import LOCALIZERS, PA, GradientFormula, dual_gradients_formula
from e2wsol.localizers.layer_gradients import LayerGradients, by_label, formula_maps
from e2wsol.localizers.network import Network

SCORES = ("logit", "output")


class ModelLocalizer:
    """A localizer on a trained classifier; GradCAM and its kin say which.

    The classifier is any Keras model of one input with one output (B, C): functional, Sequential, with models inside
    it (as in transfer learning), or subclassed with named layers; also a method of e2wsol. It stays as it is.

    The class score that is differentiated is the logit: where the model ends in a softmax or sigmoid, as a layer of
    its own or as the activation of its last layer, what enters that. A softmax's gradient is small where the model
    is sure, and mixes in the scores of all other classes, so the papers take the logit. In a subclassed model whose
    code itself calls `ops.softmax` that is not seen, and its output is the score.

    Args:
      model: the classifier.
      layer: name of the layer whose features make the map, for a model inside the model "outer/inner", or only
        "inner" where one model has it. None for the usual one, see the class; a subclassed model needs a name.
      preprocess: what makes the images what the model wants: a function, or the name of a module of
        keras.applications, such as "mobilenet", for its `preprocess_input`; None where they are that already.
      score: "logit", or "output" for the gradient of what the model gives, probabilities as they are.

    Attributes:
      layer: name of the layer that it looks at.

    Raises:
      ArgumentError: there is no such layer; the model takes anything but images, gives anything but scores of
        classes, or has no feature map.
    """

    formula: GradientFormula
    _looks_inside = False  # whether the usual layer lies in the middle

    def __init__(
        self,
        model: keras.Model,
        layer: str | None = None,
        preprocess: Callable[[Any], Any] | str | None = None,
        *,
        score: str = "logit",
    ):
        if not isinstance(model, keras.Model):
            raise ArgumentError("model", type(model).__name__, "must be a keras.Model")
        self._preprocess = _preprocessing(preprocess)
        self._network = Network(model, score=choose(score, SCORES, "score"), layer=layer)
        self.layer = self._usual_layer() if layer is None else self._network.full_name(layer)
        self._gradients = LayerGradients(self._network, [self.layer])

    def __call__(self, images: Any, labels: Any = None) -> np.ndarray:
        """Localization maps.

        Args:
          images: (B, H, W, channels) as the model takes them, or as `preprocess` does; (B, channels, H, W) for a model
            of that order.
          labels: int (B,) or (B, k) classes; None for the predicted class.

        Returns:
          maps (B, h, w) float32 with the sides of the layer's features, not normalised; (B, k, h, w) for labels
          (B, k). They do not depend on what else is in the batch.

        Raises:
          ArgumentError: images or labels of a shape that does not fit, or a class that the model does not have.
        """
        forward = self._gradients(self._prepared(images))
        logits = forward.outputs["logits"]
        count, classes = logits.shape
        wanted = [(self.formula, self.layer)]
        labels = None if labels is None else _checked_labels(ops.convert_to_numpy(labels), count, classes)
        [maps] = by_label(lambda chosen: formula_maps(forward, chosen, wanted, classes), logits, labels)
        return ops.convert_to_numpy(maps)

    def _usual_layer(self) -> str:
        network = self._network
        if network.end_points and self.formula.layer:
            return getattr(network.model.architecture, self.formula.layer)
        return network.middle() if self._looks_inside and not network.end_points else network.last()

    def _prepared(self, images: Any) -> Any:
        expected = self._network.image_shape or (None,) * 4
        if self._preprocess:
            images = self._preprocess(np.array(images) if isinstance(images, (np.ndarray, list)) else images, expected)
        images = np.asarray(images) if isinstance(images, list) else images
        shape = tuple(images.shape)
        if len(shape) != 4 or any(side not in (None, found) for side, found in zip(expected[1:], shape[1:])):
            sides = ", ".join("any" if side is None else str(side) for side in expected[1:])
            raise ArgumentError("images", None, f"shape {shape}; the model takes (B, {sides})")
        return images


class GradCAM(ModelLocalizer):
    """Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2): ReLU(sum_k mean_hw(g_k) A_k).

    A are the features of a layer, g the gradient of the class score with respect to them. The usual layer
    is the last feature map that no pooling made: VGG16's block5_conv3, ResNet50's conv5_block3_out.
    Arguments, attributes and errors are those of ModelLocalizer.

    Example:
      >>> import keras
      >>> import numpy as np
      >>> from e2wsol.localizers import GradCAM
      >>> images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
      >>> model = keras.applications.MobileNet((64, 64, 3), alpha=0.25, weights=None, classes=10)
      >>> localizer = GradCAM(model, preprocess="mobilenet")
      >>> localizer.layer
      'conv_pw_13_relu'
      >>> localizer(images).shape  # of the predicted class
      (2, 2, 2)
      >>> GradCAM(model, layer="conv_pw_11_relu")(images / 127.5 - 1, labels=[[3, 7], [0, 9]]).shape
      (2, 2, 4, 4)
    """

    formula = LOCALIZERS["gradcam"]


class GradCAMPlusPlus(ModelLocalizer):
    """Grad-CAM++ (Chattopadhay et al., WACV 2018): ReLU(sum_k sum_hw(alpha_k ReLU(g_k)) A_k).

    alpha = g^2 / (2 g^2 + sum_hw(A) g^3). The usual layer is GradCAM's.
    Arguments, attributes and errors are those of ModelLocalizer.

    Example:
      >>> import keras
      >>> import numpy as np
      >>> from e2wsol.localizers import GradCAMPlusPlus
      >>> base = keras.applications.MobileNet((64, 64, 3), alpha=0.25, weights=None, include_top=False)
      >>> pool, classify = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(5, activation="softmax")
      >>> model = keras.Sequential([keras.Input((64, 64, 3)), base, pool, classify])
      >>> localizer = GradCAMPlusPlus(model)
      >>> localizer.layer
      'mobilenet_0.25_64/conv_pw_13_relu'
      >>> localizer(np.zeros((2, 64, 64, 3)), labels=[0, 4]).shape
      (2, 2, 2)
    """

    formula = LOCALIZERS["gradcampp"]


class LayerCAM(ModelLocalizer):
    """LayerCAM (Jiang et al., TIP 2021): ReLU(sum_k ReLU(g_k) A_k).

    It is made for finer maps than the last: the usual layer is the last feature map, made by no pooling or
    padding, of at least twice the sides of GradCAM's (VGG16's block4_conv3, ResNet50's conv4_block6_out). On a method
    of e2wsol it is the last one, as for `--localizer=layercam`.
    Arguments, attributes and errors are those of ModelLocalizer.

    Example:
      >>> import keras
      >>> import numpy as np
      >>> from e2wsol.localizers import LayerCAM
      >>> model = keras.applications.MobileNet((64, 64, 3), alpha=0.25, weights=None, classes=10)
      >>> localizer = LayerCAM(model)
      >>> localizer.layer, localizer(np.zeros((2, 64, 64, 3))).shape
      ('conv_pw_11_relu', (2, 4, 4))
    """

    formula = LOCALIZERS["layercam"]
    _looks_inside = True


class CAM(ModelLocalizer):
    """The class activation map (Zhou et al., CVPR 2016, equation 2): sum_k w_k A_k / (h w).

    w is the class's row of the linear layer that stands on global average pooling of the features A, so that the
    sum over a map is the class's logit less its bias. The layer is the one under that pooling and no other.

    Args:
      model: see ModelLocalizer; the classifier must be of that kind.
      layer: the layer under the pooling, or None.
      preprocess: see ModelLocalizer.

    Raises:
      ArgumentError: the model ends otherwise, or `layer` is another; and as ModelLocalizer.

    Example:
      >>> import keras
      >>> import numpy as np
      >>> from e2wsol.localizers import CAM
      >>> model = keras.applications.MobileNet((64, 64, 3), alpha=0.25, weights=None, classes=10)
      >>> CAM(model)(np.zeros((2, 64, 64, 3)), labels=[0, 9]).shape
      (2, 2, 2)
    """

    formula = LOCALIZERS["cam"]

    def __init__(
        self, model: keras.Model, layer: str | None = None, preprocess: Callable[[Any], Any] | str | None = None
    ):
        super().__init__(model, layer, preprocess)
        last = self._network.under_linear_classifier()
        if last is None:
            needed = "must end in global average pooling and one linear layer for CAM; GradCAM takes others too"
            raise ArgumentError("model", model.name, needed)
        if layer is not None and self._network.find(layer) != self._network.find(last):
            raise ArgumentError("layer", layer, f"CAM lies on {last} alone")

    def _usual_layer(self) -> str:
        return self._network.under_linear_classifier() or super()._usual_layer()


class DGL(ModelLocalizer):
    """Dual-gradients localization (Tan et al., ACM MM 2020): sum_k g_k (n(A)_k - n(q)_k).

    A are the features of a layer, g the gradient of the class's logit with respect to them, q that of a cost, and
    n(T) = T / |T| with the norm over a whole image. The usual layer is LayerCAM's; on a method of e2wsol the one
    of `--localizer=dgl`.

    Args:
      model: see ModelLocalizer.
      layer: see ModelLocalizer.
      preprocess: see ModelLocalizer.
      pa: label of the class in the cost, 10 in the authors' code, see formulas.cost.

    Raises:
      ArgumentError: as ModelLocalizer.

    Example:
      >>> import keras
      >>> import numpy as np
      >>> from e2wsol.localizers import DGL
      >>> model = keras.applications.MobileNet((64, 64, 3), alpha=0.25, weights=None, classes=10)
      >>> localizer = DGL(model)
      >>> localizer.layer, localizer(np.zeros((2, 64, 64, 3))).shape
      ('conv_pw_11_relu', (2, 4, 4))
    """

    formula = dual_gradients_formula()
    _looks_inside = True

    def __init__(
        self,
        model: keras.Model,
        layer: str | None = None,
        preprocess: Callable[[Any], Any] | str | None = None,
        *,
        pa: float = PA,
    ):
        super().__init__(model, layer, preprocess)
        self.formula = dual_gradients_formula(pa)


def _preprocessing(preprocess: Callable[[Any], Any] | str | None) -> Callable[[Any, tuple], Any] | None:
    """f(images, shape that the model takes) -> images as it takes them; None where they are that already."""
    if preprocess is None:
        return None
    if not isinstance(preprocess, str):
        return lambda images, shape: preprocess(images)
    modules = vars(keras.applications).items()
    families = {name: module for name, module in modules if isinstance(module, types.ModuleType)}
    known = {
        name: vars(module)["preprocess_input"]
        for name, module in families.items()
        if "preprocess_input" in vars(module)
    }
    function = known[choose(preprocess, known, "preprocess")]
    # Three channels stand last unless only the other place can hold them.
    return lambda images, shape: function(
        images, data_format="channels_first" if shape[1] == 3 and shape[3] != 3 else "channels_last"
    )


def _checked_labels(labels: np.ndarray, count: int, classes: int) -> np.ndarray:
    if not np.issubdtype(labels.dtype, np.integer):
        raise ArgumentError("labels", None, f"of type {labels.dtype}; must be whole numbers")
    if labels.ndim not in (1, 2) or len(labels) != count:
        raise ArgumentError("labels", None, f"shape {labels.shape}; must be ({count},) or ({count}, k)")
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise ArgumentError("labels", int(wrong[0]), f"must be from 0 to {classes - 1}")
    return labels.astype("int32")
