"""The contract of a method: a network that says where the object is, and mostly also what it is."""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from e2wsol import backbones, compute, localizers
from e2wsol.backbones import Architecture
from e2wsol.backbones.weights import load_start_weights
from e2wsol.config import from_arguments, from_mapping, to_mapping
from e2wsol.data import views
from e2wsol.errors import ArgumentError, UserError, choose
from e2wsol.localization.protocols import BoxOptions

METHODS: dict[str, type["Method"]] = {}
Tensors = dict[str, Any]  # by name


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """A method without options of its own."""


def register(key: str) -> Callable[[type["Method"]], type["Method"]]:
    """Decorator of a method's class: makes it known as `--method=KEY`, and to Keras where a model is loaded."""

    def known(method: type["Method"]) -> type["Method"]:
        method.key = key
        METHODS[key] = method
        return keras.saving.register_keras_serializable(package="e2wsol")(method)

    return known


class Method(keras.Model):
    """A weakly supervised localizer on a backbone; subclasses fill in hooks.

    Called on uint8 RGB pictures (B, S, S, 3) in 0..255 it returns a dict with "logits" (B, C)
    float32 and the features that its loss and maps need. It trains with `compile` and `fit` on
    (pictures, integer labels), and saves as `.keras`. A method with `classifies` False knows no classes:
    its outputs have no "logits", and it need not fill in class_maps but `localize`.

    Hooks:
      augment(images, options): what training does to pictures in front of the backbone; nothing by default.
      inserted_layers(architecture, options): layers to insert into the backbone, by end point.
      heads(end_points, architecture, width, num_classes, options): dict of output tensors.
      targets(batch): what of a batch of records it learns; the labels by default.
      loss_terms(labels, outputs, training): what training minimises.
      class_maps(outputs, labels): maps (B, k, h, w) of the classes labels (B, k).

    Args:
      num_classes: C.
      backbone: name of an architecture of e2wsol.backbones, or BackboneOptions.
      image_size: side S of the square input, pixels.
      weights: start weights of the backbone: None, "imagenet", or a .npz, .keras or .h5 file.
      allow_partial_weights: whether weights may fill less than half of the backbone's numbers.
      class_names: names of the classes in label order, for who loads the model; None where it does not know them.
      box: BoxOptions, protocol and threshold of its boxes; None for the method's own protocol.
      resize_filter: how `predict` and exports resize images to `image_size`: "bilinear" or "antialias", the one that
        its training pictures were resized with. "auto" is antialias, as in PipelineOptions: a program that names none
        has the same in `train_dataset` and `predict`.
      name: the model's name.
      options: the method's options, an instance of its `Options`; or give its fields and those of
        BackboneOptions as further arguments.

    Attributes:
      class_names, box, resize_filter: as given, auto resolved; a `.keras` file keeps them.
      threshold_from: where the threshold of `box` comes from, which a `.keras` file keeps too; empty where unknown.
      start_weights: LoadReport of `weights`; None without.

    Raises:
      TypeError: an argument that neither the backbone nor the method has.
      UserError: a value that cannot be; no such file of weights, or weights of another network.

    Example:
      >>> import e2wsol
      >>> model = e2wsol.CAM(num_classes=3, image_size=32, backbone="vgg16", backbone_width=0.05, dropout=0.5)
      >>> logits, maps = model.localize(np.zeros((2, 32, 32, 3), np.uint8))
      >>> tuple(logits.shape), tuple(maps.shape)
      ((2, 3), (2, 2, 2))
    """

    Options: ClassVar[type] = NoOptions
    key: ClassVar[str] = ""
    protocol: ClassVar[str] = "maxboxacc"
    # Whether outputs hold "logits" of the classes; where not, `localize` returns None in their place.
    classifies: ClassVar[bool] = True
    # Whether `localize` gives logits of the object, which a protocol that stretches scores takes the sigmoid of first.
    maps_are_logits: ClassVar[bool] = False
    # Whether it learns from records that e2wsol.pseudo_masks made.
    needs_pseudo_masks: ClassVar[bool] = False
    # What makes the method's maps of any trained classifier, where the method is a name for that too: CAM, DGL.
    on_classifier: ClassVar[str] = ""

    def __new__(cls, *classifier: Any, **settings: Any) -> Any:
        """`CAM(classifier, layer=...)` is the localizer of that name on a trained classifier."""
        if not classifier:
            return super().__new__(cls, **settings)
        if "on_classifier" not in vars(cls):
            raise TypeError(
                f"{cls.__name__} is a network to train: {cls.__name__}(num_classes=..., backbone=...); a trained "
                "classifier is looked at by CAM, DGL, GradCAM, GradCAMPlusPlus or LayerCAM"
            )
        return getattr(localizers, cls.on_classifier)(*classifier, **settings)

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: "str | backbones.BackboneOptions" = "vgg16",
        image_size: int = 224,
        weights: str | None = None,
        allow_partial_weights: bool = False,
        class_names: Sequence[str] | None = None,
        box: BoxOptions | None = None,
        resize_filter: str = views.AUTO,
        options: Any = None,
        name: str | None = None,
        **settings: Any,
    ):
        if class_names is not None and len(class_names) != num_classes:
            raise ArgumentError("class_names", None, f"{len(class_names)} names for num_classes={num_classes}")
        choose(resize_filter, views.RESIZE_FILTERS, "resize_filter")
        compute.check_settings()
        on, options = self._resolved(backbone, options, settings)
        family = backbones.architecture(on.backbone)
        network = backbones.build(on, image_size, self.inserted_layers(family, options))
        images = keras.Input((image_size, image_size, 3), dtype="uint8", name="images")
        seen, more = self.augment(images, options)
        end_points = network(seen)
        outputs = self.heads(end_points, family, on.backbone_width, num_classes, options) | more
        super().__init__(images, outputs, name=name or type(self).__name__.lower())
        self.backbone = network
        self.end_points = dict(end_points)  # symbolic, as the heads read them
        self.architecture = family
        self.backbone_options = on
        self.image_size = image_size
        self.num_classes = num_classes
        self.options = options
        self.class_names = None if class_names is None else tuple(class_names)
        self.box = box or BoxOptions()
        self.threshold_from = ""
        self.resize_filter = views.ANTIALIAS if views.is_antialias(resize_filter) else views.BILINEAR
        self.start_weights = load_start_weights(network, on, weights or "none", allow_partial=allow_partial_weights)

    def __init_subclass__(cls, **arguments: Any):
        super().__init_subclass__(**arguments)
        cls.__signature__ = _signature(cls)

    @classmethod
    def _resolved(cls, backbone, options, settings):
        """(BackboneOptions, Options) of what the constructor was given."""
        of_backbone = {}
        if isinstance(backbone, str):
            names = [field.name for field in dataclasses.fields(backbones.BackboneOptions)]
            of_backbone = {name: settings.pop(name) for name in names if name in settings}
            backbone = from_arguments(backbones.BackboneOptions, {"backbone": backbone, **of_backbone})
        if options is not None and settings:
            raise TypeError(f"give options or {', '.join(settings)}, not both")
        try:
            return backbone, options if options is not None else from_arguments(cls.Options, settings)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}; its backbone, {', '.join(_backbone_settings())}") from None

    @classmethod
    def augment(cls, images: Any, options: Any) -> tuple[Any, Tensors]:
        """Pictures uint8 (B, S, S, 3) as the backbone gets them, and a dict of further outputs."""
        return images, {}

    @classmethod
    def inserted_layers(cls, architecture: Architecture, options: Any) -> dict[str, Any]:
        """End point name -> layer to put behind it; none by default."""
        return {}

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        """Builds what stands on the backbone; returns a dict with "logits" and more."""
        raise NotImplementedError

    def class_maps(self, outputs: Tensors, labels: Any) -> Any:
        """Localization maps (B, k, h, w) float32, unnormalised, of classes labels (B, k)."""
        raise NotImplementedError

    def targets(self, batch: Tensors) -> Any:
        """What the objective takes as labels from a batch of e2wsol.data.pipeline: int (B,)."""
        return batch["label"]

    def loss_terms(self, labels: Any, outputs: Tensors, training: bool = True) -> Tensors:
        """The objective, picture by picture; by default the cross-entropy of the logits.

        Args:
          labels: int (B,), or what `targets` gives.
          outputs: what calling the model gave.
          training: whether it was called in training mode.

        Returns:
          dict of (B,) terms, weighted: the loss is the mean of their sum.
        """
        return {"classification": cross_entropy(labels, outputs["logits"])}

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Keras callbacks that the method's schedule needs, for `fit`; the commands' loop asks for them itself."""
        return []

    @property
    def maps_are_trained(self) -> bool:
        """Whether training has come so far that the maps mean something; no checkpoint is the best before."""
        return True

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean over the pictures of the summed loss terms; what `fit` minimises."""
        losses = sum(self.loss_terms(y, y_pred, training).values())
        if sample_weight is not None:
            losses = losses * sample_weight
        return ops.mean(losses)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Feeds compiled metrics with the logits, so that e.g. "accuracy" just works; they need a classifier."""
        return super().compute_metrics(x, y, y_pred["logits"] if self.classifies else y_pred, sample_weight)

    def localize(self, images: Any, labels: Any = None) -> tuple[Any, Any]:
        """Where the evidence for a class lies.

        Args:
          images: uint8 (B, S, S, 3).
          labels: int (B,) or (B, k) classes; None for the predicted class.

        Returns:
          (logits (B, C), maps (B, h, w) or, for labels (B, k), (B, k, h, w)), float32; maps are not
          normalised: a protocol of e2wsol.localization turns them into score maps and boxes.
        """
        outputs = self(images, training=False)
        logits = outputs["logits"]
        labels = ops.argmax(logits, axis=-1) if labels is None else ops.convert_to_tensor(labels)
        if len(labels.shape) == 2:
            return logits, self.class_maps(outputs, labels)
        return logits, self.class_maps(outputs, labels[:, None])[:, 0]

    def resized(self, image_size: int) -> "Method":
        """The method with its weights for pictures of another size; itself where that is its size.

        Args:
          image_size: side of the square input, pixels.

        Raises:
          UserError: the network cannot be built at that size, or has weights whose shape goes with the size.
        """
        if image_size == self.image_size:
            return self
        try:
            copy = type(self).from_config({**self.get_config(), "image_size": image_size})
            copy.set_weights(self.get_weights())
        except ValueError as error:
            raise UserError(
                f"a network trained at {self.image_size} pixels cannot take {image_size} ({error})"
            ) from None
        return copy

    def get_config(self) -> dict[str, Any]:
        """What a `.keras` file keeps; options by the names of their flags, as files of all versions have them."""
        return {
            "backbone": to_mapping(self.backbone_options),
            "image_size": self.image_size,
            "num_classes": self.num_classes,
            "options": to_mapping(self.options),
            "class_names": None if self.class_names is None else list(self.class_names),
            "box": to_mapping(self.box),
            "resize_filter": self.resize_filter,
            "threshold_from": self.threshold_from,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Method":
        config = dict(config)
        config["backbone"] = from_mapping(backbones.BackboneOptions, config["backbone"])
        config["options"] = from_mapping(cls.Options, config["options"])
        config["box"] = from_mapping(BoxOptions, config.get("box", {}))  # files of version 0.1 have none
        config.setdefault("resize_filter", views.BILINEAR)  # what files without it were trained with
        threshold_from = config.pop("threshold_from", "")
        model = cls(**config)
        model.threshold_from = threshold_from
        return model


def _backbone_settings() -> list[str]:
    return [field.name for field in dataclasses.fields(backbones.BackboneOptions) if field.name != "backbone"]


def _signature(method: type[Method]) -> inspect.Signature:
    """What the constructor takes, the fields of the options named one by one."""
    taken = inspect.signature(Method.__init__).parameters
    own = (
        *("num_classes", "backbone", "image_size", "weights", "allow_partial_weights", "class_names", "box"),
        *("resize_filter", "name"),
    )
    named = [taken[name] for name in own]
    for options in (backbones.BackboneOptions, method.Options):
        named += [
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
            for field in dataclasses.fields(options)
            if field.name not in ("backbone", *(each.name for each in named))
        ]
    return inspect.Signature(named)


def cross_entropy(labels: Any, logits: Any) -> Any:
    """Softmax cross-entropy (B,) of logits (B, C) with integer labels (B,)."""
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def classifier(features: Any, num_classes: int, architecture: Architecture, name: str, *, dropout: float = 0.0) -> Any:
    """Global average pooling, dropout and a linear classifier: (B, h, w, c) -> float32 logits (B, num_classes)."""
    pooled = keras.layers.GlobalAveragePooling2D(name=f"{name}_gap")(features)
    if dropout:
        pooled = keras.layers.Dropout(dropout, name=f"{name}_dropout")(pooled)
    return keras.layers.Dense(
        num_classes, kernel_initializer=architecture.classifier_initializer, dtype=logits_dtype(), name=name
    )(pooled)


def logits_dtype() -> str:
    """Logits and maps are float32 under every precision but float64."""
    return "float64" if keras.config.dtype_policy().name == "float64" else "float32"


def head_features(features: Any, architecture: Architecture, width: float, name: str, dropout: float = 0.0) -> Any:
    """The 3x3 convolutions with ReLU in front of a classifier, as many as the architecture has: name_1 .. name.

    Before each of them a share `dropout` of the numbers is dropped in training.
    """
    if not architecture.head_channels:
        return features
    for number in range(1, architecture.head_convolutions + 1):
        if dropout:
            features = keras.layers.Dropout(dropout, name=f"{name}_dropout{number}")(features)
        features = keras.layers.Conv2D(
            backbones.scaled(architecture.head_channels, width),
            3,
            padding="same",
            activation="relu",
            kernel_initializer=architecture.head_initializer,
            name=name if number == architecture.head_convolutions else f"{name}_{number}",
        )(features)
    return features


def class_activation_maps(features: Any, kernel: Any, labels: Any) -> Any:
    """Class activation maps (CAM): features weighted by the classifier's rows.

    Args:
      features: (B, h, w, c).
      kernel: (c, C) of the linear classifier on the pooled features.
      labels: int (B, k).

    Returns:
      (B, k, h, w), divided by h * w: the sum over a map is the class's logit less its bias.
    """
    weights = class_weights(kernel, labels)
    area = features.shape[1] * features.shape[2]
    return ops.einsum("bhwc,bkc->bkhw", ops.cast(features, weights.dtype), weights / area)


def class_weights(kernel: Any, labels: Any) -> Any:
    """Rows (B, k, c) of the classifier kernel (c, C) for the classes labels (B, k)."""
    return ops.take(ops.transpose(ops.convert_to_tensor(kernel)), labels, axis=0)


def label_maps(class_maps: Any, labels: Any) -> Any:
    """Maps (B, k, h, w) in float32 of the classes labels (B, k), of maps (B, h, w, C) of all."""
    chosen = ops.one_hot(labels, class_maps.shape[-1], dtype=logits_dtype())
    return mixed_maps(ops.cast(class_maps, logits_dtype()), chosen)


def label_map(class_maps: Any, labels: Any) -> Any:
    """As label_maps, (B, h, w) of one class a picture, labels (B,)."""
    return label_maps(class_maps, labels[:, None])[:, 0]


def mixed_maps(class_maps: Any, shares: Any) -> Any:
    """Maps (B, h, w, C) mixed by `shares` (B, k, C) of the classes: (B, k, h, w)."""
    return ops.einsum("bhwc,bkc->bkhw", class_maps, shares)
