"""The features of a network's layers, and the gradients of its outputs with respect to them."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from keras import ops

from e2wsol.backend_calls.pullback import pullback, without_gradient
from e2wsol.localizers.formulas import GradientFormula, as_float
from e2wsol.localizers.network import IMAGES, Network, Step


@dataclasses.dataclass(frozen=True, eq=False)
class ForwardPass:
    """One run of LayerGradients.

    Attributes:
      outputs: the network's, "logits" (B, C) and more.
      features: layer -> (B, h, w, c).
      gradients: gradients(cotangents) of weighted sums of the outputs with respect to every layer.
        cotangents is a list of dicts {output: weights (B, ...) of its shape}, e.g. {"logits": one-hot
        rows} for the logit of a class; returns a list of dicts layer -> (B, h, w, c), one for each.
    """

    outputs: dict[str, Any]
    features: dict[str, Any]
    gradients: Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]


class LayerGradients:
    """A network cut at layers, to be called on images as the network itself.

    A call runs the network once, in inference mode. What does not depend on any of the layers runs
    as it is; only the rest can be differentiated, for all layers together: reverse mode, segment by
    segment from the outputs down. Nothing is left on the model, and images do not mix.

    Args:
      network: Network, or a Method; its weights may change later.
      layers: names of feature maps of the network.
      owner: see Network.

    Attributes:
      layers: tuple of them, from input to output.

    Raises:
      ArgumentError: there is no such layer.
    """

    def __init__(self, network: Any, layers: Iterable[str], owner: type | None = None):
        network = network if isinstance(network, Network) else Network(network, owner=owner)
        self._numbers = {layer: network.find(layer) for layer in layers}
        self.layers = tuple(sorted(self._numbers, key=network.order))
        self._channels_first = {layer for layer, number in self._numbers.items() if network.channels_first(number)}
        self._outputs = network.outputs
        self._below, self._above = _segments(network, set(self._numbers.values()))

    def __call__(self, images: Any) -> ForwardPass:
        """Runs the network on images, for a method uint8 (B, S, S, 3)."""
        values = {IMAGES: ops.convert_to_tensor(images)}
        values.update(without_gradient(self._below.run, values))
        pulls = []
        for segment in self._above:
            found, pull = segment.pullback(values)
            values = {**values, **found}
            pulls.append(pull)
        return ForwardPass(
            outputs={key: values[number] for key, number in self._outputs.items()},
            features={layer: self._channels_last(layer, values[self._numbers[layer]]) for layer in self.layers},
            gradients=lambda cotangents: self._gradients(cotangents, values, pulls),
        )

    def _gradients(self, cotangents, values, pulls):
        # What has reached each value so far, for each of the cotangents.
        reached: list[dict[int, Any]] = [{} for _ in cotangents]
        for sums, weights in zip(reached, cotangents):
            for key, weight in weights.items():
                number = self._outputs[key]
                _add(sums, number, ops.convert_to_tensor(weight, dtype=values[number].dtype))
        for segment, pull in zip(reversed(self._above), reversed(pulls)):
            given = [{number: sums[number] for number in segment.writes if number in sums} for sums in reached]
            for sums, found in zip(reached, pull(given)):
                for number, gradient in found.items():
                    _add(sums, number, gradient)
        return [
            {
                layer: self._channels_last(layer, sums[number] if number in sums else ops.zeros_like(values[number]))
                for layer, number in self._numbers.items()
            }
            for sums in reached
        ]

    def _channels_last(self, layer, features):
        return ops.transpose(features, (0, 2, 3, 1)) if layer in self._channels_first else features


class _Segment:
    """Some of a network's steps, in order.

    Attributes:
      reads: the numbers that can be differentiated with respect to, which it reads and does not write.
      writes: those that it gives; what it computes for itself alone is let go as soon as possible.
    """

    def __init__(self, steps: Sequence[Step], varying: set[int], kept: set[int]):
        self._steps = steps
        written = {number for step in steps for number in step.writes}
        self.reads = sorted((_read([steps]) & varying) - written)
        self.writes = sorted(written & kept)
        last = {number: step for step in steps for number in (*step.writes, *step.reads)}
        self._done = {id(step): [each for each, at in last.items() if at is step] for step in steps}

    def run(self, values):
        """{number: tensor} of what it writes, of the values that there are."""
        values, found = dict(values), {}
        for step in self._steps:
            written = dict(zip(step.writes, step.run(values)))
            values.update(written)
            found.update({number: each for number, each in written.items() if number in self.writes})
            for number in self._done[id(step)]:
                del values[number]
        return found

    def pullback(self, values):
        """(what it writes, pull of backend_calls.pullback with respect to what it reads)."""
        varying = {number: values[number] for number in self.reads}
        return pullback(lambda inputs: self.run({**values, **inputs}), varying)


def _segments(network, wanted):
    """(segment that depends on none of the values `wanted`, list of those that do: cut where a wanted one is made)."""
    outputs = set(network.outputs.values())
    below, above, varying = [], [[]], set(wanted)
    for step in network.needed(wanted | outputs):
        if varying.isdisjoint(step.reads):
            below.append(step)
            continue
        varying.update(step.writes)
        above[-1].append(step)
        if not wanted.isdisjoint(step.writes):
            above.append([])
    parts = [below, *filter(None, above)]
    first, *others = (
        _Segment(part, varying, wanted | outputs | _read(parts[index:])) for index, part in enumerate(parts, start=1)
    )
    return first, others


def _read(parts):
    return {number for part in parts for step in part for number in step.reads}


def formula_maps(
    forward: ForwardPass, labels: Any, wanted: Sequence[tuple[GradientFormula, str]], num_classes: int
) -> list[Any]:
    """Maps (B, h, w) of one class an image, for each (formula, layer) that is wanted.

    Args:
      forward: a run at these layers.
      labels: int (B,).
      wanted: formulas, and the layer that each is to look at.
      num_classes: C.
    """
    (logits,) = as_float(forward.outputs["logits"])
    chosen = ops.one_hot(labels, num_classes, dtype=logits.dtype)
    cotangents = list(dict.fromkeys(each for formula, _ in wanted for each in formula.cotangents))
    found = forward.gradients([{"logits": cotangent(logits, chosen)} for cotangent in cotangents])
    gradients = dict(zip(cotangents, found))
    return [
        formula.maps(forward.features[layer], *(gradients[each][layer] for each in formula.cotangents))
        for formula, layer in wanted
    ]


def by_label(maps: Callable[[Any], list[Any]], logits: Any, labels: Any = None) -> list[Any]:
    """Maps of the classes asked for.

    Args:
      maps: maps(labels (B,)) -> list of maps (B, h, w).
      logits: (B, C).
      labels: int (B,) or (B, k) classes; None for the predicted class.

    Returns:
      list of maps (B, h, w), or (B, k, h, w) for labels (B, k).
    """
    labels = ops.argmax(logits, axis=-1) if labels is None else ops.convert_to_tensor(labels)
    if len(labels.shape) == 1:
        return maps(labels)
    columns = [maps(labels[:, column]) for column in range(labels.shape[1])]
    return [ops.stack(each, axis=1) for each in zip(*columns)]


def _add(sums, number, gradient):
    sums[number] = sums[number] + gradient if number in sums else gradient
