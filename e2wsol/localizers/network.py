"""A classifier taken apart: its operations one by one, models inside it opened, and its feature maps by name."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
from keras import ops

from e2wsol.backend_calls.pullback import without_gradient
from e2wsol.errors import ArgumentError
from e2wsol.localizers.subclassed import layers_by_path, split_at, without_activation

IMAGES = 0  # the number of the value that all others are computed from
_UNKNOWN_SIDE = 224  # what sides are compared at where a model takes images of any size
_CLASS_ACTIVATIONS = ("softmax", "sigmoid")
_PADDING = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)
_POOLING = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
_REORDERING = ("Permute", "Transpose", "Reshape", "Flatten")
_AROUND_A_LINEAR_LAYER = (keras.layers.Dropout, keras.layers.Reshape, keras.layers.Flatten)


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One operation of a network; values have numbers.

    Attributes:
      run: run(values) -> list of what it writes, of a mapping from number to tensor.
      reads, writes: numbers.
      layer: the Keras layer or operation; None for what a model does to its input.
      name: its name, behind those of the models that it is in: "outer/inner".
    """

    run: Callable[[dict[int, Any]], Sequence[Any]]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    layer: Any = None
    name: str = ""


class Network:
    """A classifier of images as a list of steps, in inference mode.

    A method's feature maps are the end points of its backbone, and what its heads' layers give; end points that are
    one tensor (ResNet's group and its last block) are one map, under the first name. Those of any other model
    are what its layers give, those of models inside it as "outer/inner". Nothing is left on the model.

    Args:
      model: Method, or a Keras model of one input (B, H, W, channels) with one output (B, C).
      score: of a model that is no method: "logit" for what enters a softmax or sigmoid at its end, "output" for
        what it gives.
      layer: what a subclassed model, which has no graph, is to be cut at.
      owner: option dataclass whose field `layer` names layers, for messages; None for the caller's argument.

    Attributes:
      model: the model.
      steps: list of Step, each behind those that it reads from.
      outputs: name -> number; the scores of the classes are "logits".
      feature_maps: name -> number, from input to output.
      end_points: names of the maps that are a method's end points.

    Raises:
      ArgumentError: the model is none of these.
    """

    def __init__(self, model: Any, *, score: str = "logit", layer: str | None = None, owner: type | None = None):
        self.model, self._owner = model, owner
        self.steps: list[Step] = []
        self.outputs: dict[str, int] = {}
        self.feature_maps: dict[str, int] = {}
        self.end_points: tuple[str, ...] = ()
        self._shapes: list[tuple] = [()]
        self._numbers: dict[int, int] = {}  # of symbols, by id
        graph = graph_of(model)
        if graph is None and isinstance(model, keras.Sequential):
            raise ArgumentError(
                "model", model.name, "has no input shape yet; begin it with keras.Input, or call it once"
            )
        if graph is None:
            self._add_subclassed(layer, score)
        else:
            self._add_functional(graph, score)

    @property
    def image_shape(self) -> tuple | None:
        """Shape (None, H, W, channels) of its input, None for what may vary; None for a subclassed model."""
        return self._shapes[IMAGES] or None

    def find(self, layer: str) -> int:
        """The number of the feature map that `layer` means: its name, or the end of one that is the only such.

        Raises:
          ArgumentError: there is none.
        """
        if layer in self.feature_maps:
            return self.feature_maps[layer]
        inner = {number for name, number in self.feature_maps.items() if name.endswith(f"/{layer}")}
        if len(inner) == 1:
            return inner.pop()
        problem = f"{len(inner)} models inside have it" if inner else "no such layer"
        names = ", ".join(self.feature_maps)
        raise ArgumentError("layer", layer, f"{problem}; choose among {names}", owner=self._owner)

    def full_name(self, layer: str) -> str:
        """The name of the feature map that `layer` means, itself where it is one."""
        return layer if layer in self.feature_maps else str(self.name_of(self.find(layer)))

    def name_of(self, number: int) -> str | None:
        """The first name of a feature map; None where that number is none."""
        return next((name for name, each in self.feature_maps.items() if each == number), None)

    def order(self, layer: str) -> int:
        """A place of a feature map among all: it stands behind those that it is computed from."""
        return list(self.feature_maps.values()).index(self.find(layer))

    def needed(self, numbers: Iterable[int]) -> list[Step]:
        """The steps that values are computed by, in order."""
        wanted, found = set(numbers), []
        for step in reversed(self.steps):
            if not wanted.isdisjoint(step.writes):
                wanted.update(step.reads)
                found.append(step)
        return found[::-1]

    def under_linear_classifier(self) -> str | None:
        """The map that global average pooling and a linear classifier turn into the logits; None: there is none."""
        number = self._behind(self.outputs.get("logits"), _AROUND_A_LINEAR_LAYER)
        number = self._behind(self._read_by(number, _is_linear), _AROUND_A_LINEAR_LAYER)
        pooled = self._read_by(number, lambda layer: isinstance(layer, keras.layers.GlobalAveragePooling2D))
        return None if pooled is None else self.name_of(pooled)

    def last(self) -> str:
        """The last map in no branch that no pooling or padding made; of a method the one under its classifier, if any.

        Raises:
          ArgumentError: there is no feature map at all.
        """
        if self.end_points:
            return self.under_linear_classifier() or self.end_points[-1]
        return self._chosen(1)

    def middle(self) -> str:
        """The last feature map of at least twice the sides of `last`; that itself where there is none.

        Raises:
          ArgumentError: there is no feature map at all.
        """
        return self._chosen(2)

    def channels_first(self, number: int) -> bool:
        """Whether a feature map is (B, c, h, w): what its layer says, else those that read it, else those before."""
        maker = next((step for step in self.steps if number in step.writes), None)
        formats = [_data_format(maker), *self._formats(number, self.steps, "reads", "writes")]
        formats += self._formats(number, self.steps[::-1], "writes", "reads")
        return next(filter(None, formats), keras.config.image_data_format()) == "channels_first"

    def _add_functional(self, graph, score):
        self._check_graph(graph)
        [symbol] = graph.inputs
        self._shapes[IMAGES], self._numbers[id(symbol)] = tuple(symbol.shape), IMAGES
        outputs = self._add_graph(graph, [self._add_cast(symbol, IMAGES)], "")
        if is_method(self.model):
            self.outputs = {name: self._numbers[id(each)] for name, each in self.model.output.items()}
            self._name_method_maps()
            return
        self.outputs = {"logits": self._class_scores(graph, outputs)}
        if score == "logit":
            self._drop_activation()
        if not self.feature_maps:
            raise ArgumentError("model", self.model.name, "has no layer whose output is a feature map")

    def _check_graph(self, graph):
        if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
            shapes = ", ".join(str(tuple(each.shape)) for each in graph.inputs)
            raise ArgumentError("model", self.model.name, f"takes {shapes}; must take images (B, H, W, channels) alone")

    def _class_scores(self, graph, outputs):
        """Which of the numbers `outputs` are the scores of the classes."""
        structure = graph.output
        if isinstance(structure, dict) and "logits" in structure:
            outputs = [self._numbers[id(structure["logits"])]]
        if len(outputs) != 1 or len(self._shapes[outputs[0]]) != 2:
            shapes = ", ".join(str(self._shapes[number]) for number in outputs)
            raise ArgumentError("model", self.model.name, f"gives {shapes}; must give scores of classes (B, C) alone")
        return outputs[0]

    def _add_graph(self, graph, inputs, path):
        """Appends the steps of a keras.Function on values of these numbers; returns the numbers of its outputs."""
        numbers = dict(zip(map(id, graph.inputs), inputs))
        for node in _nodes(graph):
            operation, name = node.operation, self._new_name(path + node.operation.name)
            inner = None if _is_masked(node) else graph_of(operation)
            if inner is None:
                written = self._add_node(node, numbers, name)
            else:
                read = [numbers[id(symbol)] for symbol in node.input_tensors]
                entered = [self._add_cast(symbol, number) for symbol, number in zip(inner.inputs, read)]
                written = self._add_graph(inner, entered, f"{name}/")
            if len(written) == 1 and _is_map(self._shapes[written[0]]):
                self.feature_maps[name] = written[0]
            numbers.update(zip(map(id, node.output_tensors), written))
        self._numbers.update(numbers)
        return [numbers[id(symbol)] for symbol in graph.outputs]

    def _add_node(self, node, numbers, name):
        operation, inference = node.operation, {"training": False} if isinstance(node.operation, keras.Layer) else {}

        def run(values):
            args, kwargs = node.arguments.fill_in({key: values[number] for key, number in reads.items()})
            return keras.tree.flatten(operation(*args, **{**kwargs, **inference}))

        reads = {id(symbol): numbers[id(symbol)] for symbol in node.input_tensors}
        return self._add(run, reads.values(), [each.shape for each in node.output_tensors], operation, name)

    def _add_cast(self, symbol, number):
        """What a model does to an input: makes it a tensor of its type."""
        dtype = symbol.dtype
        return self._add(lambda values: [ops.convert_to_tensor(values[number], dtype)], [number], [symbol.shape])[0]

    def _add(self, run, reads, shapes, layer=None, name=""):
        writes = tuple(range(len(self._shapes), len(self._shapes) + len(shapes)))
        self._shapes += map(tuple, shapes)
        self.steps.append(Step(run, tuple(reads), writes, layer, name))
        return writes

    def _new_name(self, name):
        """The name; where an operation stands in the network again, with its count."""
        taken = sum(step.name.split(":")[0] == name for step in self.steps)
        return f"{name}:{taken + 1}" if taken else name

    def _add_subclassed(self, layer, score):
        paths = layers_by_path(self.model)
        if layer not in paths:
            problem = (
                "no such layer" if layer else "must be named: a subclassed model has no graph that says which is last"
            )
            raise ArgumentError("layer", layer, f"{problem}; choose among {', '.join(paths)}", owner=self._owner)
        features, scores = split_at(self.model, paths[layer], _CLASS_ACTIVATIONS if score == "logit" else ())
        below = self._add(lambda values: [features(values[IMAGES])], [IMAGES], [()], paths[layer], layer)
        above = self._add(lambda values: [scores(values[IMAGES], values[below[0]])], [IMAGES, *below], [()])
        self.feature_maps, self.outputs = {layer: below[0]}, {"logits": above[0]}

    def _name_method_maps(self):
        method = self.model
        found = {name: self._numbers[id(symbol)] for name, symbol in method.backbone.output.items()}
        self.feature_maps = found
        self.end_points = tuple(name for name, number in found.items() if self.name_of(number) == name)
        for layer in method.layers:
            if layer is method.backbone or isinstance(layer, keras.layers.InputLayer):
                continue
            output = layer.output
            if isinstance(output, keras.KerasTensor) and len(output.shape) == 4:
                number = self._numbers.get(id(output))
                if number is not None and number not in found.values():
                    found[layer.name] = number

    def _drop_activation(self):
        """Makes "logits" what enters a softmax or sigmoid at the end, be it a layer or a layer's activation."""
        [step] = self.needed([self.outputs["logits"]])[-1:]
        layer = step.layer
        if _activation(layer) not in _CLASS_ACTIVATIONS:
            return
        if isinstance(layer, keras.layers.Activation) or not hasattr(layer, "activation"):
            self.outputs = {"logits": step.reads[0]}
            return
        run = without_activation(layer, step.run)
        self.steps[self.steps.index(step)] = dataclasses.replace(step, run=run)

    def _behind(self, number, kinds):
        """The value that layers of these kinds, which change no number in inference, made `number` of."""
        while (read := self._read_by(number, lambda layer: isinstance(layer, kinds))) is not None:
            number = read
        return number

    def _read_by(self, number, is_kind):
        """What the step that writes `number` reads, where is_kind(its layer); else None."""
        for step in self.steps:
            if number in step.writes and is_kind(step.layer) and len(step.reads) == 1:
                return step.reads[0]
        return None

    def _chosen(self, times):
        """The last map of `times` the sides of the last one; none of one place, pooled, padded or in a branch."""
        number = self.outputs["logits"]
        makers = [step for step in self.needed([number]) if len(step.writes) == 1 and step.writes[0] != number]
        shapes = self._known_shapes()
        sides = {
            step.writes[0]: min(self._sides(step.writes[0], shapes))
            for step in makers
            if _is_map(shapes[step.writes[0]])
            and not isinstance(step.layer, (*_PADDING, *_POOLING))
            and self.name_of(step.writes[0])
        }
        whole = _bottlenecks(self.needed([number]))
        sides = {each: side for each, side in sides.items() if each in whole} or sides
        spread = [each for each, side in sides.items() if side > 1] or list(sides)
        if not spread:
            raise ArgumentError("model", self.model.name, "has no layer whose output is a feature map")
        large = [each for each in spread if sides[each] >= times * sides[spread[-1]]]
        return self.name_of((large or spread)[-1])

    def _sides(self, number, shapes):
        return shapes[number][2:] if self.channels_first(number) else shapes[number][1:3]

    def _known_shapes(self):
        """Shapes of all values, with sides; by a run where the model leaves them open."""
        if not any(None in self._shapes[number][1:] for number in self.feature_maps.values()):
            return self._shapes
        shape = [1, *(side or _UNKNOWN_SIDE for side in self._shapes[IMAGES][1:])]
        return without_gradient(self._shapes_of, ops.zeros(shape))

    def _shapes_of(self, images):
        values = {IMAGES: images}
        for step in self.steps:
            values.update(zip(step.writes, step.run(values)))
        return {number: tuple(value.shape) for number, value in values.items()}

    def _formats(self, number, steps, source, target) -> Iterator[str | None]:
        """The data formats of steps that a value goes through, in the order of `steps`, up to where axes change."""
        reached = {number}
        for step in steps:
            if not reached.isdisjoint(getattr(step, source)) and type(step.layer).__name__ not in _REORDERING:
                yield _data_format(step)
                reached.update(getattr(step, target))


def is_method(model: Any) -> bool:
    """Whether a model is one of e2wsol.methods, which import this module."""
    return hasattr(model, "end_points") and hasattr(model, "backbone") and isinstance(model.output, dict)


def graph_of(model: Any) -> Any:
    """The keras.Function that a call of the model runs; None where code of its own does, or it is no model."""
    graph = getattr(model, "_functional", None) if isinstance(model, keras.Sequential) else model
    if not isinstance(graph, keras.Function):
        return None
    caller = next(each for each in type(model).__mro__ if "call" in vars(each))
    return graph if caller.__module__.startswith("keras.") else None


def _nodes(graph: Any) -> list[Any]:
    """The nodes that a keras.Function's outputs are computed by, each behind those that it reads from."""
    known, found = set(map(id, graph.inputs)), []
    waiting = [(symbol, False) for symbol in reversed(graph.outputs)]
    while waiting:
        symbol, complete = waiting.pop()
        node = _node(symbol)
        if complete:
            found.append(node)
        elif id(symbol) not in known:
            known.update(map(id, node.output_tensors))
            waiting.append((symbol, True))
            waiting += [(each, False) for each in reversed(node.input_tensors)]
    return found


def _node(symbol: Any) -> Any:
    operation, index, _ = symbol._keras_history
    return operation._inbound_nodes[index]


def _bottlenecks(steps: Sequence[Step]) -> set[int]:
    """Numbers of the values that everything behind them is computed from alone: of a branch there is none."""
    last = {number: index for index, step in enumerate(steps) for number in step.reads}
    found: set[int] = set()
    live: set[int] = set()
    for index, step in enumerate(steps):
        live = {number for number in (*live, *step.writes) if last.get(number, -1) > index}
        if len(live) == 1 and live <= set(step.writes):
            found |= live
    return found


def _is_masked(node: Any) -> bool:
    """Whether a model is called with more than its inputs."""
    return any(value is not None for name, value in node.arguments.kwargs.items() if name != "training")


def _is_map(shape: Sequence[int | None]) -> bool:
    return len(shape) == 4


def _activation(layer: Any) -> str:
    """The name of a layer's activation, or of the one that an operation is."""
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(layer, "activation", None), "__name__", type(layer).__name__.lower())


def _is_linear(layer: Any) -> bool:
    """Whether a layer is linear, one place at a time; a classifier whose activation was dropped is."""
    one_by_one = isinstance(layer, keras.layers.Conv2D) and set(layer.kernel_size) == {1}
    linear = ("linear", *_CLASS_ACTIVATIONS)
    return (one_by_one or isinstance(layer, keras.layers.Dense)) and _activation(layer) in linear


def _data_format(step: Step | None) -> str | None:
    layer = step.layer if step else None
    return None if type(layer).__name__ in _REORDERING else getattr(layer, "data_format", None)
