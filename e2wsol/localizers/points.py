"""The feature maps of a method by name: end points of its backbone, and what its heads' layers give."""

import keras

from e2wsol.errors import ArgumentError

PICTURES = "pictures"


class Points:
    """The feature maps of a method, symbolic, from input to output; the pictures come first.

    An end point has two symbols, one inside the backbone and one outside, where the heads read it. End
    points that are one tensor (ResNet's group and its last block) are one point, under the first name.

    Args:
      method: Method.
      owner: option dataclass whose field `layer` names layers, for messages; None for the caller's argument.

    Attributes:
      symbols: name -> the symbol (B, h, w, c) to compute it by.
      end_points: names of those in the backbone.
      head_features: the point that global average pooling and a linear classifier turn into the logits;
        None where the method's logits come otherwise.
    """

    def __init__(self, method, owner=None):
        self.owner = owner
        self.symbols, self._names, self._aliases = {}, {}, {}
        self._add(PICTURES, method.backbone.inputs[0], method.inputs[0])
        for name, symbol in method.backbone.output.items():
            self._add(name, symbol, method.end_points[name])
        self.end_points = tuple(self.symbols)[1:]
        for layer in method.layers:
            if layer is not method.backbone and self._is_new_map(layer.output):
                self._add(layer.name, layer.output)
        self.head_features = self._under_linear_classifier(method.output["logits"]) if method.classifies else None

    def _add(self, name, symbol, *others):
        first = self._names.get(id(symbol), name)
        self.symbols.setdefault(first, symbol)
        self._aliases[name] = first
        for each in (symbol, *others):
            self._names[id(each)] = first

    def _is_new_map(self, output):
        return isinstance(output, keras.KerasTensor) and len(output.shape) == 4 and id(output) not in self._names

    def find(self, layer):
        """The name of the point that `layer` means.

        Raises:
          UserError: there is none.
        """
        if layer not in self._aliases or layer == PICTURES:
            names = ", ".join(name for name in self._aliases if name != PICTURES)
            raise ArgumentError("layer", layer, f"no such layer; choose among {names}", owner=self.owner)
        return self._aliases[layer]

    def name_of(self, symbol):
        """The name of the point that a symbol of the method is, or None."""
        return self._names.get(id(symbol))

    def read_by(self, symbols, among):
        """The points among names `among` that symbols are computed from, not looking behind them.

        Returns:
          list of (name, symbol): a point stands there once for each of its symbols that is read.
        """
        found, seen, waiting = [], set(), list(symbols)
        while waiting:
            symbol = waiting.pop()
            if id(symbol) in seen:
                continue
            seen.add(id(symbol))
            if self.name_of(symbol) in among:
                found.append((self.name_of(symbol), symbol))
            else:
                waiting += _made_of(symbol)[1]
        return sorted(found, key=lambda pair: list(self.symbols).index(pair[0]))

    def _under_linear_classifier(self, symbol):
        for kind in (keras.layers.Dense, keras.layers.Dropout, keras.layers.GlobalAveragePooling2D):
            operation, inputs = _made_of(symbol)
            if isinstance(operation, kind):
                (symbol,) = inputs
            elif kind is not keras.layers.Dropout:
                return None
        return self.name_of(symbol)


def _made_of(symbol):
    """(operation, list of symbols) that a symbol was computed by and from."""
    operation, node, _ = symbol._keras_history
    return operation, operation._inbound_nodes[node].input_tensors
