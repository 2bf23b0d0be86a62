"""A method cut at layers: their features, and the gradients of its outputs with respect to them."""

import dataclasses
from collections.abc import Callable

import keras
from keras import ops

from e2wsol.backend_calls.pullback import pullback, without_gradient
from e2wsol.localizers.points import PICTURES, Points


@dataclasses.dataclass(frozen=True, eq=False)
class Pass:
    """One run of a Cut.

    Attributes:
      outputs: the method's, "logits" (B, C) and more.
      features: layer -> (B, h, w, c).
      gradients: gradients(cotangents) of weighted sums of the outputs with respect to every layer.
        cotangents is a list of dicts {output: weights (B, ...) of its shape}, e.g. {"logits": one-hot
        rows} for the logit of a class; returns a list of dicts layer -> (B, h, w, c), one for each.
    """

    outputs: dict
    features: dict
    gradients: Callable


class Cut:
    """A method cut at layers, to be called on pictures (B, S, S, 3) as the method itself.

    A call runs the network once, in inference mode. What lies below the shallowest of the layers runs
    as it is; only what lies above can be differentiated, for all layers together: reverse mode, piece
    by piece from the outputs down. Nothing is left on the model, and pictures do not mix.

    Args:
      method: Method; its weights may change later.
      layers: names of end points of its backbone, or of layers of its heads that give feature maps.
      owner: see Points.

    Attributes:
      layers: tuple of them, from input to output.

    Raises:
      UserError: there is no such layer.
    """

    def __init__(self, method, layers, owner=None):
        points = Points(method, owner)
        self._points = {layer: points.find(layer) for layer in layers}
        order = list(points.symbols)
        self.layers = tuple(sorted(self._points, key=lambda layer: order.index(self._points[layer])))
        outputs, wanted = dict(method.output), set(self._points.values())
        needed = _needed(points, wanted, outputs.values())
        # Where in `values` an output stands: some are points themselves.
        self._outputs = {
            key: points.name_of(symbol) if points.name_of(symbol) in needed else f"output {key}"
            for key, symbol in outputs.items()
        }
        computed = {self._outputs[key]: symbol for key, symbol in outputs.items() if self._outputs[key] not in needed}
        targets = [*({name: points.symbols[name]} for name in order if name in needed), computed]
        self._pieces = [_Piece(points, target, needed | {PICTURES}) for target in targets]
        # Points whose gradient is needed: those asked for, and what depends on them.
        self._active = set(wanted)
        for piece in self._pieces[:-1]:
            if self._active.intersection(piece.reads):
                self._active.update(piece.writes)

    def __call__(self, images):
        """Runs the network on uint8 pictures (B, S, S, 3); returns a Pass."""
        values, pulls = {PICTURES: ops.convert_to_tensor(images)}, []
        for piece in self._pieces:
            found, pull = piece.run(values, self._active)
            values = {**values, **found}
            pulls.append(pull)
        return Pass(
            outputs={key: values[name] for key, name in self._outputs.items()},
            features={layer: values[self._points[layer]] for layer in self.layers},
            gradients=lambda cotangents: self._gradients(cotangents, values, pulls),
        )

    def _gradients(self, cotangents, values, pulls):
        # What has reached each point and output so far, for each of the cotangents.
        reached = [{} for _ in cotangents]
        for sums, weights in zip(reached, cotangents):
            for key, weight in weights.items():
                name = self._outputs[key]
                _add(sums, name, ops.convert_to_tensor(weight, dtype=values[name].dtype))
        for piece, pull in zip(reversed(self._pieces), reversed(pulls)):
            if pull is not None:
                given = [{name: sums[name] for name in piece.writes if name in sums} for sums in reached]
                for sums, found in zip(reached, pull(given)):
                    for name, gradient in found:
                        _add(sums, name, gradient)
        return [
            {layer: sums.get(name, ops.zeros_like(values[name])) for layer, name in self._points.items()}
            for sums in reached
        ]


class _Piece:
    """The part of the network between points: `reads` are the names it starts from, `writes` those it gives."""

    def __init__(self, points, outputs, boundary):
        found = points.read_by(outputs.values(), boundary - outputs.keys())
        self.reads = [name for name, _ in found]
        self.writes = tuple(outputs)
        self._model = keras.Model([symbol for _, symbol in found], outputs)

    def run(self, values, active):
        """Returns (dict of what it writes, pull or None where nothing active is read).

        pull(list of dicts of cotangents) gives a list of lists of (name read, gradient).
        """
        inputs = [values[name] for name in self.reads]
        varying = {index: inputs[index] for index, name in enumerate(self.reads) if name in active}
        if not varying:
            return without_gradient(self._call, inputs), None
        outputs, pull = pullback(
            lambda x: self._call([x.get(index, fixed) for index, fixed in enumerate(inputs)]), varying
        )
        return outputs, lambda cotangents: [
            [(self.reads[index], gradient) for index, gradient in found.items()] for found in pull(cotangents)
        ]

    def _call(self, inputs):
        return self._model(inputs, training=False)


def _needed(points, wanted, outputs):
    """Names of the points to cut at: the wanted ones, and the end points that heads and wanted layers read."""
    boundary = wanted.union(points.end_points)
    found = points.read_by(outputs, boundary)
    for name in wanted.difference(points.end_points):
        found += points.read_by([points.symbols[name]], boundary - {name})
    return wanted.union(name for name, _ in found)


def _add(sums, name, gradient):
    sums[name] = sums[name] + gradient if name in sums else gradient
