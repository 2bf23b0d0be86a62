"""A network of this library as plain PyTorch: the yardstick of the speed benchmarks.

`Twin(model)` walks a functional Keras model and puts PyTorch's own modules in the place of its layers, with the same
weights, as a PyTorch programmer writes them: NCHW, padding inside convolutions and pools where PyTorch's padding can
say it, ReLU in place. Nothing of Keras is left in it.
"""

import collections

import keras
import plain_layers
from torch import nn


class Twin(nn.Module):
    """The PyTorch form of a functional Keras model.

    Args:
      model: functional keras.Model whose outputs are a dict or one tensor.
      parts: {name of a Keras layer: its module} of another Twin, whose modules this one shares.

    Called on what the Keras model is called on it gives what that gives, but that features are (B, c, h, w);
    pictures are uint8 (B, S, S, 3) as there. Its mode is PyTorch's: train() or eval().
    """

    def __init__(self, model, parts=None):
        super().__init__()
        self.inputs = [id(symbol) for symbol in model.inputs]
        self.outputs = keras.tree.map_structure(id, model.output)
        self.parts = nn.ModuleDict()
        # (name of the module, names of what it reads, names of what it gives).
        self.steps = []
        readers, padded = _readers(model), {}
        for operation, node in _nodes(model):
            read, given = _ids(node.input_tensors), _ids(node.output_tensors)
            if isinstance(operation, keras.layers.ZeroPadding2D):
                if not all(isinstance(reader, plain_layers.PADDING_THEMSELVES) for reader in readers[given[0]]):
                    raise TypeError(f"{operation.name}: a padding that no module takes on")
                padded[given[0]] = (read[0], operation.padding)
                continue
            read[0], padding = padded.get(read[0], (read[0], None))
            if operation.name not in self.parts:
                known = (parts or {}).get(operation.name)
                made = known or _part(operation, node, padding, len(readers[read[0]]) == 1)
                self.parts[operation.name] = made
            self.steps.append((operation.name, read, given))

    def by_name(self):
        """{name of a Keras layer: its module}, those of models inside included."""
        inner = [part.twin.by_name() for part in self.parts.values() if isinstance(part, _AsList)]
        return dict(collections.ChainMap(dict(self.parts.items()), *inner))

    def forward(self, *inputs):
        """Returns the outputs, a dict or a tensor as the Keras model's."""
        values = dict(zip(self.inputs, inputs))
        for name, read, given in self.steps:
            found = self.parts[name](*(values[each] for each in read))
            values.update(zip(given, found if isinstance(found, list) else [found]))
        if isinstance(self.outputs, dict):
            return {name: values[each] for name, each in self.outputs.items()}
        return values[self.outputs]


class _AsList(nn.Module):
    """A Twin inside another: its outputs in the order in which Keras lists those of a model in a model."""

    def __init__(self, twin, model):
        super().__init__()
        self.twin = twin
        self.names = keras.tree.flatten({name: name for name in model.output})

    def forward(self, *inputs):
        found = self.twin(*inputs)
        return [found[name] for name in self.names]


def _part(operation, node, padding, sole_reader):
    if isinstance(operation, keras.Model):
        return _AsList(Twin(operation), operation)
    shape = tuple(node.input_tensors[0].shape)
    return plain_layers.translate(operation, shape, padding=padding, inplace=sole_reader)


def _nodes(model):
    """(operation, node) of a functional model in the order of computation, without its inputs."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                yield node.operation, node


def _ids(tensors):
    return [id(tensor) for tensor in tensors]


def _readers(model):
    """{tensor: the operations that read it}; None stands for the model's caller."""
    readers = collections.defaultdict(list)
    for operation, node in _nodes(model):
        for tensor in node.input_tensors:
            readers[id(tensor)].append(operation)
    for tensor in keras.tree.flatten(model.output):
        readers[id(tensor)].append(None)
    return readers
