import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from e2wsol.backbones import Architecture, scaled
from e2wsol.config import option
from e2wsol.errors import ArgumentError
from e2wsol.layers import ConvolutionalClassifier
from e2wsol.methods.base import Method, Tensors, cross_entropy, logits_dtype, mixed_maps, register

_INITIALIZERS = {
    "xavier": "glorot_uniform",
    "normal": {"class_name": "RandomNormal", "config": {"stddev": 0.02}},
}


@dataclasses.dataclass(frozen=True)
class BASOptions:
    """Background activation suppression; the release's values differ by backbone and data set (flags/bas_*.cfg)."""

    flag_prefix: ClassVar[str] = "bas_"

    area_weight: float = option(1.5, "weight of the area constraint, the saliency's mean", minimum=0.0)
    guidance_weight: float = option(
        0.5, "weight of foreground guidance, the cross-entropy of the foreground alone", minimum=0.0
    )
    top_k: int = option(
        0, "saliency maps averaged at test: of this many best classes; 1: of the class asked for; 0: of all", minimum=0
    )
    equal_ratio: bool = option(
        False, "keep the suppression of pictures whose logit erasing leaves equal (released ILSVRC code: on)"
    )
    erased_statistics: str = option(
        "shared",
        "batch norm statistics of the erased branch in inference: the network's (released CUB code) or its own, "
        "which follow the erased batches (released ILSVRC code)",
        choices=("shared", "own"),
    )
    warmup_epochs: int = option(
        0, "epochs that train the classifier alone (ours, for short trainings; the release has none)", minimum=0
    )
    head_channels: int = option(1024, "channels of the classification head, times --backbone_width", minimum=1)
    initializer: str = option(
        "xavier",
        "kernels of both heads: xavier uniform, or normal of deviation 0.02 (released VGG)",
        choices=tuple(_INITIALIZERS),
    )


@register("bas")
class BAS(Method):
    """Background activation suppression (Wu et al., CVPR 2022).

    The backbone is cut at its trunk's end. A saliency head on the trunk's features F gives a foreground
    map for each class; tail and classification head give class maps, whose means are the logits. In
    training the erased branch runs tail and head, their weights held fixed, on F with the foreground
    taken out: what remains of the class's logit is suppressed, the map's area is kept small, and the
    class maps under the foreground must still say the class.

    Outputs: "logits" (B, C), "trunk" F (B, H, W, c), "saliency" (B, H, W, C) in [0, 1] and "class_maps"
    (B, h, w, C) >= 0.
    """

    Options = BASOptions
    protocol = "bas"

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        features = self.backbone.output
        trunk = features[self.architecture.trunk]
        # What the erased branch runs a second time, layers shared: from the trunk's end to the class maps.
        self.tail = keras.Model(trunk, self.get_layer("classifier_cls")(list(features.values())[-1]), name="tail")
        self.erased_statistics = self._own_statistics() if self.options.erased_statistics == "own" else {}
        # 0 while the classifier warms up, then 1; only where there is a warm-up.
        self.objective_weight = None
        if self.options.warmup_epochs:
            self.objective_weight = self.add_weight(
                shape=(), initializer="ones", trainable=False, aggregation="mean", name="objective_weight"
            )
        side, map_side = trunk.shape[1], self.tail.output.shape[1]
        if side % map_side:
            raise ArgumentError(
                "image_size",
                self.image_size,
                f"BAS needs a trunk map whose side is a multiple of the last map's, not {side} and {map_side}; a "
                "multiple of 32 does",
            )

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        """Saliency maps of the trunk's features, class maps of the last; logits are the means of these."""
        initializer = _INITIALIZERS[options.initializer]
        trunk = end_points[architecture.trunk]
        saliency = keras.layers.Conv2D(
            num_classes,
            3,
            padding="same",
            activation="sigmoid",
            kernel_initializer=initializer,
            dtype=logits_dtype(),
            name="classifier_loc",
        )(trunk)
        class_maps = ConvolutionalClassifier(
            num_classes, scaled(options.head_channels, width), initializer, name="classifier_cls"
        )(list(end_points.values())[-1])
        logits = keras.layers.GlobalAveragePooling2D(dtype=logits_dtype(), name="logits")(class_maps)
        return {"logits": logits, "trunk": trunk, "saliency": saliency, "class_maps": class_maps}

    def loss_terms(self, labels: Any, outputs: Tensors, training: bool = True) -> Tensors:
        """Cross-entropy, foreground guidance, activation suppression and area constraint, weighted."""
        branches = self.branches(labels, outputs, training)
        guidance = cross_entropy(labels, branches["foreground_logits"])
        terms = {
            "guidance": self.options.guidance_weight * guidance,
            "suppression": suppression_ratio(
                branches["logit"], branches["erased_logit"], keep_equal=self.options.equal_ratio
            ),
            "area": self.options.area_weight * ops.mean(branches["saliency"], axis=(1, 2)),
        }
        if self.objective_weight is not None:
            weight = ops.cast(self.objective_weight, guidance.dtype)
            terms = {name: weight * term for name, term in terms.items()}
        return {"classification": cross_entropy(labels, outputs["logits"]), **terms}

    def callbacks(self) -> list[keras.callbacks.Callback]:
        return [_WarmUp(self.options.warmup_epochs)] if self.options.warmup_epochs else []

    @property
    def maps_are_trained(self) -> bool:
        return self.objective_weight is None or float(ops.convert_to_numpy(self.objective_weight)) > 0

    def branches(self, labels: Any, outputs: Tensors, training: bool) -> Tensors:
        """What the loss looks at.

        Args:
          labels: int (B,).
          outputs: what calling the model gave.
          training: whether the erased branch normalises by its own batch.

        Returns:
          dict of "saliency" (B, H, W), the label's map; "logit" and "erased_logit" (B,), the label's
          without and with its foreground erased; "foreground_logits" (B, C).
        """
        chosen = ops.one_hot(labels, self.num_classes, dtype=outputs["logits"].dtype)
        saliency = mixed_maps(outputs["saliency"], chosen[:, None])[:, 0]
        return {
            "saliency": saliency,
            "logit": ops.sum(chosen * outputs["logits"], axis=-1),
            "erased_logit": ops.sum(chosen * self._erased_logits(outputs["trunk"], saliency, training), axis=-1),
            "foreground_logits": _foreground_logits(outputs["class_maps"], saliency),
        }

    def _erased_logits(self, trunk, saliency, training):
        """Logits (B, C) of the background; only `saliency` gets a gradient."""
        x = ops.stop_gradient(trunk) * ops.cast(1 - saliency, trunk.dtype)[..., None]
        weights = [ops.stop_gradient(variable.value) for variable in self.tail.trainable_variables]
        statistics = [self.erased_statistics.get(v.path, v) for v in self.tail.non_trainable_variables]
        class_maps, updated = self.tail.stateless_call(weights, [v.value for v in statistics], x, training=training)
        if training and self.erased_statistics:
            for variable, value in zip(statistics, updated):
                variable.assign(value)
        return ops.mean(ops.cast(class_maps, saliency.dtype), axis=(1, 2))

    def _own_statistics(self):
        """{path of a moving statistic in the tail: the erased branch's variable in its place}."""
        return {variable.path: _statistic_like(variable) for variable in self.tail.non_trainable_variables}

    def class_maps(self, outputs: Tensors, labels: Any) -> Any:
        """The class's own saliency map, or the mean over the best classes, whatever the labels."""
        count = min(self.options.top_k or self.num_classes, self.num_classes)
        if count == 1:
            return mixed_maps(outputs["saliency"], ops.one_hot(labels, self.num_classes, dtype=logits_dtype()))
        best = ops.top_k(outputs["logits"], count)[1]
        share = ops.sum(ops.one_hot(best, self.num_classes, dtype=logits_dtype()), axis=1, keepdims=True) / count
        return ops.repeat(mixed_maps(outputs["saliency"], share), labels.shape[1], axis=1)


class _WarmUp(keras.callbacks.Callback):
    """Switches a BAS model's objective on after some epochs.

    From a classifier that knows nothing yet the map learns but its area: it shuts everywhere, and a
    sigmoid that has shut takes thousands of steps to open again (the release trains for 18,700).
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.model.objective_weight.assign(float(epoch >= self.epochs))


def suppression_ratio(logit: Any, erased_logit: Any, *, keep_equal: bool) -> Any:
    """Activation suppression (B,): the share of the class's logit (B,) that the background keeps.

    Erasing that does not lower the logit gives no signal, neither value nor gradient; `keep_equal`
    says whether one that leaves it equal does. No gradient flows through `logit`.
    """
    counts = erased_logit <= logit if keep_equal else erased_logit < logit
    ratio = erased_logit / (ops.stop_gradient(logit) + 1e-8)
    return ops.where(counts, ratio, ops.zeros_like(ratio))


def _statistic_like(variable):
    """A start value of the moving statistic `variable`, under erased_statistics/ and the same layer's name."""
    layer, _, name = variable.path.rpartition("/")
    with keras.name_scope("erased_statistics", override_parent=""), keras.name_scope(layer):
        return keras.Variable(
            "ones" if name == "moving_variance" else "zeros",
            shape=variable.shape,
            dtype=variable.dtype,
            trainable=False,
            aggregation="mean",
            name=name,
        )


def _foreground_logits(class_maps, saliency):
    """Logits (B, C) of the class maps (B, h, w, C) under the saliency (B, H, W), averaged to h x w."""
    factor = saliency.shape[1] // class_maps.shape[1]
    pooled = ops.average_pool(saliency[..., None], factor, factor, data_format="channels_last")
    return ops.mean(ops.cast(class_maps, saliency.dtype) * pooled, axis=(1, 2))
