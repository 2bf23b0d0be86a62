"""A trained method under other localizers than its own, on any of its layers."""

import dataclasses

from keras import ops

from e2wsol.config import option
from e2wsol.errors import UserError
from e2wsol.localizers import maps as combine
from e2wsol.localizers.cut import Cut
from e2wsol.localizers.dgl import cost, dual_gradients, sgl_g1, sgl_g2
from e2wsol.localizers.formula import Formula, as_float, class_logit
from e2wsol.localizers.gradcam import grad_cam, grad_cam_plus_plus
from e2wsol.localizers.layercam import class_activation_map, layer_cam
from e2wsol.localizers.points import Points

LOCALIZERS = {
    "cam": Formula(class_activation_map, (class_logit,), last_only=True),
    "gradcam": Formula(grad_cam, (class_logit,)),
    "gradcampp": Formula(grad_cam_plus_plus, (class_logit,)),
    "layercam": Formula(layer_cam, (class_logit,)),
    "dgl": Formula(dual_gradients, (class_logit, cost), layer="dual_gradient_layer"),
    "sgl_g1": Formula(sgl_g1, (class_logit,), layer="dual_gradient_layer"),
    "sgl_g2": Formula(sgl_g2, (cost,), layer="dual_gradient_layer"),
}
ALL_LAYERS = "all"
_FUSIONS = {"mean": combine.mean, "max": combine.maximum}


@dataclasses.dataclass(frozen=True)
class LocalizerOptions:
    """Which localizer looks at a trained method, and where."""

    localizer: tuple[str, ...] = option(
        (), "localizers to use in place of the method's own maps, comma-separated", choices=tuple(LOCALIZERS)
    )
    layer: tuple[str, ...] = option(
        (), "end points whose features they look at, comma-separated, or all; empty for each localizer's usual one"
    )
    layer_fusion: str = option(
        "none",
        "how the maps of several layers become one, each stretched to [0, 1] and resized to the largest; none: a "
        "result for every layer",
        choices=("none", *_FUSIONS),
    )
    scales: tuple[float, ...] = option(
        (1.0,), "input sizes whose maps are averaged, comma-separated, as shares of the network's", minimum=0.1
    )
    closing: int = option(
        0, "side of the morphological closing of a map, in its own pixels, odd; 0 for none", minimum=0
    )

    def check(self):
        """Raises a UserError where a value is wrong, or set without the localizer that it belongs to."""
        if self.closing and self.closing % 2 == 0:
            raise UserError(f"--closing={self.closing}: must be odd, or 0 for none")
        if not self.scales:
            raise UserError("--scales is empty: give at least one, 1 for the network's own input size")
        unset = LocalizerOptions()
        for field in dataclasses.fields(self):
            if not self.localizer and getattr(self, field.name) != getattr(unset, field.name):
                raise UserError(f"--{field.name}: belongs to --localizer; choose one of {', '.join(LOCALIZERS)}")


class Localizer:
    """A method whose maps are made by other localizers; to be asked as the method itself.

    All localizers and layers share one run of the network a picture and input scale, and its gradients.

    Args:
      method: Method. At scales other than 1 copies of it are made, whose weights stay as they are now.
      options: LocalizerOptions with a localizer.

    Attributes:
      names: of its maps, "localizer/layers" and what was done to them, from input to output.
      classifies, image_size, num_classes, protocol: the method's.

    Raises:
      UserError: no such layer, or no such map of this method.
    """

    def __init__(self, method, options):
        options.check()
        if not method.classifies:
            raise UserError(
                f"--localizer={','.join(options.localizer)}: {type(method).__name__} predicts no class whose evidence "
                "could be looked for; give the run of a classifier"
            )
        self.classifies = True
        self.image_size, self.num_classes, self.protocol = method.image_size, method.num_classes, method.protocol
        self._method, self._options = method, options
        self._layers = _layers(method, options)
        everything = dict.fromkeys(layer for layers in self._layers.values() for layer in layers)
        self._cuts = [(size, Cut(_resized(method, size), everything)) for size in _sizes(method, options.scales)]
        formulas = [LOCALIZERS[name] for name in options.localizer]
        self._cotangents = tuple(dict.fromkeys(each for formula in formulas for each in formula.cotangents))
        self._sources = _sources(self._layers, options)
        self.names = tuple(self._sources)

    def __call__(self, images, training=False):
        """What the method gives."""
        return self._method(images, training=training)

    def localize(self, images, labels=None):
        """As Method.localize, where there is one map.

        Raises:
          UserError: there are several.
        """
        self.check_single()
        logits, maps = self.localize_layers(images, labels)
        return logits, maps[self.names[0]]

    def check_single(self):
        """Raises a UserError where there are several maps."""
        if len(self.names) > 1:
            raise UserError(
                f"--layer={','.join(self._options.layer)}: {len(self.names)} maps ({', '.join(self.names)}); ask for "
                "one localizer and layer, or one --layer_fusion"
            )

    def localize_layers(self, images, labels=None):
        """All maps.

        Args:
          images: uint8 (B, S, S, 3).
          labels: int (B,) or (B, k) classes; None for the predicted class.

        Returns:
          (logits (B, C), the mean over the scales; {name: maps (B, h, w), or (B, k, h, w) for k classes}),
          float32, not normalised.
        """
        passes = [cut(_view(images, size, self.image_size)) for size, cut in self._cuts]
        logits = sum(each.outputs["logits"] for each in passes) / len(passes)
        labels = ops.argmax(logits, axis=-1) if labels is None else ops.convert_to_tensor(labels)
        if len(labels.shape) == 1:
            return logits, self._maps(passes, labels)
        columns = [self._maps(passes, labels[:, column]) for column in range(labels.shape[1])]
        return logits, {name: ops.stack([maps[name] for maps in columns], axis=1) for name in self.names}

    def _maps(self, passes, labels):
        """{name: maps (B, h, w)} of one class a picture, labels (B,)."""
        by_scale = [self._layer_maps(each, labels) for each in passes]
        by_layer = {key: combine.mean([maps[key] for maps in by_scale]) for key in by_scale[0]}
        fuse = _FUSIONS.get(self._options.layer_fusion, combine.mean)
        fused = {name: fuse([by_layer[key] for key in keys]) for name, keys in self._sources.items()}
        size = self._options.closing
        return {name: combine.close(maps, size) for name, maps in fused.items()} if size else fused

    def _layer_maps(self, found, labels):
        """{(localizer, layer): maps (B, h, w)} of one Pass."""
        (logits,) = as_float(found.outputs["logits"])
        chosen = ops.one_hot(labels, self.num_classes, dtype=logits.dtype)
        weights = [{"logits": cotangent(logits, chosen)} for cotangent in self._cotangents]
        gradients = dict(zip(self._cotangents, found.gradients(weights)))
        return {
            (name, layer): LOCALIZERS[name].maps(
                found.features[layer], *(gradients[each][layer] for each in LOCALIZERS[name].cotangents)
            )
            for name, layers in self._layers.items()
            for layer in layers
        }


def _layers(method, options):
    """{localizer: list of layers, from input to output}."""
    points = Points(method)
    last = points.head_features or points.end_points[-1]
    if ALL_LAYERS in options.layer:
        asked = [*points.end_points, *([last] if last not in points.end_points else [])]
    else:
        order = list(points.symbols)
        asked = sorted(dict.fromkeys(options.layer), key=lambda layer: order.index(points.find(layer)))
    found = {}
    for name in options.localizer:
        formula = LOCALIZERS[name]
        if formula.last_only:
            found[name] = [_classified(points, name)]
        else:
            found[name] = asked or [getattr(method.architecture, formula.layer) if formula.layer else last]
    unread = all(LOCALIZERS[name].last_only for name in options.localizer)
    if asked and unread and last not in map(points.find, asked):
        raise UserError(f"--layer={','.join(options.layer)}: {', '.join(found)} lies on {last} alone")
    return found


def _classified(points, name):
    if points.head_features is None:
        raise UserError(
            f"--localizer={name}: the method's logits are not those of one linear classifier on pooled features"
        )
    return points.head_features


def _sources(layers, options):
    """{name of a map: list of (localizer, layer) that it is made of}."""
    suffix = f"-scales_{'_'.join(f'{scale:g}' for scale in options.scales)}" if options.scales != (1.0,) else ""
    suffix += f"-closing_{options.closing}" if options.closing else ""
    sources = {}
    for name, own in layers.items():
        if options.layer_fusion == "none" or len(own) == 1:
            sources.update({f"{name}/{layer}{suffix}": [(name, layer)] for layer in own})
        else:
            title = ALL_LAYERS if ALL_LAYERS in options.layer else "+".join(own)
            sources[f"{name}/{title}-{options.layer_fusion}{suffix}"] = [(name, layer) for layer in own]
    return sources


def _sizes(method, scales):
    return list(dict.fromkeys(round(scale * method.image_size) for scale in scales))


def _resized(method, size):
    """The method at another input size: itself, or a copy with its weights."""
    try:
        return method.resized(size)
    except UserError as error:
        raise UserError(f"--scales: {error}") from None


def _view(images, size, image_size):
    """uint8 pictures (B, S, S, 3) at `size` pixels a side, bilinear, antialiased where they shrink."""
    if size == image_size:
        return images
    resized = ops.image.resize(
        ops.cast(images, "float32"), (size, size), "bilinear", antialias=True, data_format="channels_last"
    )
    return ops.cast(ops.clip(ops.round(resized), 0, 255), "uint8")
