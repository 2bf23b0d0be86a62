"""A trained method under other localizers than its own, on any of its layers."""

import dataclasses
from typing import Any

from keras import ops

from e2wsol.config import option
from e2wsol.errors import ArgumentError, UserError
from e2wsol.localizers import maps as combine
from e2wsol.localizers.formulas import LOCALIZERS
from e2wsol.localizers.layer_gradients import ForwardPass, LayerGradients, by_label, formula_maps
from e2wsol.localizers.network import Network

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

    def check(self) -> None:
        """Raises an ArgumentError where a value is wrong, or set without the localizer that it belongs to."""
        if self.closing and self.closing % 2 == 0:
            raise _wrong("closing", self.closing, "must be odd, or 0 for none")
        if not self.scales:
            raise _wrong("scales", None, "empty; give at least one, 1 for the network's own input size")
        unset = LocalizerOptions()
        for field in dataclasses.fields(self):
            if not self.localizer and getattr(self, field.name) != getattr(unset, field.name):
                raise _wrong(field.name, None, f"belongs to a localizer; choose one of {', '.join(LOCALIZERS)}")


class Localizer:
    """A method whose maps are made by other localizers; to be asked as the method itself.

    All localizers and layers share one run of the network an image and input scale, and its gradients.

    Args:
      method: Method. At scales other than 1 copies of it are made, whose weights stay as they are now.
      options: LocalizerOptions with a localizer.

    Attributes:
      names: of its maps, "localizer/layers" and what was done to them, from input to output.
      classifies, image_size, num_classes, protocol: the method's.

    Raises:
      ArgumentError: no such layer, or no such map of this method.
    """

    def __init__(self, method: Any, options: LocalizerOptions):
        options.check()
        if not method.classifies:
            raise _wrong(
                "localizer",
                options.localizer,
                f"{type(method).__name__} predicts no class whose evidence could be looked for; give the run of a "
                "classifier",
            )
        self.classifies = True
        self.image_size, self.num_classes, self.protocol = method.image_size, method.num_classes, method.protocol
        self._method, self._options = method, options
        self._layers = _layers(Network(method, owner=LocalizerOptions), options)
        # (localizer, layer) of all maps, before layers become one.
        self._keys = [(name, layer) for name, layers in self._layers.items() for layer in layers]
        everything = dict.fromkeys(layer for _, layer in self._keys)
        self._gradients = [
            (size, LayerGradients(_resized(method, size), everything, owner=LocalizerOptions))
            for size in _sizes(method, options.scales)
        ]
        self._sources = _sources(self._layers, options)
        self.names = tuple(self._sources)

    def __call__(self, images: Any, training: bool = False) -> Any:
        """What the method gives."""
        return self._method(images, training=training)

    def localize(self, images: Any, labels: Any = None) -> tuple[Any, Any]:
        """As Method.localize, where there is one map.

        Raises:
          ArgumentError: there are several.
        """
        self.check_single()
        logits, maps = self.localize_layers(images, labels)
        return logits, maps[self.names[0]]

    def check_single(self) -> None:
        """Raises an ArgumentError where there are several maps."""
        if len(self.names) > 1:
            raise _wrong(
                "layer",
                self._options.layer,
                f"{len(self.names)} maps ({', '.join(self.names)}); ask for one localizer and layer, or one "
                f"layer_fusion ({', '.join(_FUSIONS)})",
            )

    def localize_layers(self, images: Any, labels: Any = None) -> tuple[Any, dict[str, Any]]:
        """All maps.

        Args:
          images: uint8 (B, S, S, 3).
          labels: int (B,) or (B, k) classes; None for the predicted class.

        Returns:
          (logits (B, C), the mean over the scales; {name: maps (B, h, w), or (B, k, h, w) for k classes}),
          float32, not normalised.
        """
        passes = [gradients(_view(images, size, self.image_size)) for size, gradients in self._gradients]
        logits = sum(each.outputs["logits"] for each in passes) / len(passes)
        maps = by_label(lambda chosen: self._maps(passes, chosen), logits, labels)
        return logits, dict(zip(self.names, maps))

    def _maps(self, passes: list[ForwardPass], labels: Any) -> list[Any]:
        """Maps (B, h, w) of one class an image, labels (B,), in the order of the names."""
        wanted = [(LOCALIZERS[name], layer) for name, layer in self._keys]
        by_scale = [formula_maps(each, labels, wanted, self.num_classes) for each in passes]
        by_key = {key: combine.mean(maps) for key, maps in zip(self._keys, map(list, zip(*by_scale)))}
        fuse = _FUSIONS.get(self._options.layer_fusion, combine.mean)
        fused = [fuse([by_key[key] for key in keys]) for keys in self._sources.values()]
        size = self._options.closing
        return [combine.close(maps, size) for maps in fused] if size else fused


def _layers(network: Network, options: LocalizerOptions) -> dict[str, list[str]]:
    """{localizer: list of layers, from input to output}."""
    last = network.last()
    if ALL_LAYERS in options.layer:
        asked = [*network.end_points, *([last] if last not in network.end_points else [])]
    else:
        asked = sorted(dict.fromkeys(options.layer), key=network.order)
    found = {}
    for name in options.localizer:
        formula = LOCALIZERS[name]
        if formula.last_only and network.under_linear_classifier() is None:
            problem = "the method's logits are not those of one linear classifier on pooled features"
            raise _wrong("localizer", name, problem)
        usual = getattr(network.model.architecture, formula.layer) if formula.layer else last
        found[name] = [last] if formula.last_only else asked or [usual]
    unread = all(LOCALIZERS[name].last_only for name in options.localizer)
    if asked and unread and network.find(last) not in map(network.find, asked):
        raise _wrong("layer", options.layer, f"{', '.join(found)} lies on {last} alone")
    return found


def _sources(layers: dict[str, list[str]], options: LocalizerOptions) -> dict[str, list[tuple[str, str]]]:
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


def _sizes(method: Any, scales: tuple[float, ...]) -> list[int]:
    return list(dict.fromkeys(round(scale * method.image_size) for scale in scales))


def _resized(method: Any, size: int) -> Any:
    """The method at another input size: itself, or a copy with its weights."""
    try:
        return method.resized(size)
    except UserError as error:
        raise _wrong("scales", None, str(error)) from None


def _view(images: Any, size: int, image_size: int) -> Any:
    """uint8 images (B, S, S, 3) at `size` pixels a side, bilinear, antialiased where they shrink."""
    if size == image_size:
        return images
    resized = ops.image.resize(
        ops.cast(images, "float32"), (size, size), "bilinear", antialias=True, data_format="channels_last"
    )
    return ops.cast(ops.clip(ops.round(resized), 0, 255), "uint8")


def _wrong(argument: str, value: Any, problem: str) -> ArgumentError:
    return ArgumentError(argument, value, problem, owner=LocalizerOptions)
