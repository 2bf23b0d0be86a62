"""Models whose own code calls their layers: no graph to cut, so what a layer gives is caught where it is called."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from e2wsol.errors import ArgumentError


def layers_by_path(model: Any, path: str = "") -> dict[str, Any]:
    """Every layer of a model by its name, those of models inside it as "outer/inner"."""
    found = {}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            found[path + layer.name] = layer
            if hasattr(layer, "layers"):
                found.update(layers_by_path(layer, f"{path}{layer.name}/"))
    return found


def split_at(model: Any, layer: Any, activations: Sequence[str]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A model as two functions, below and above a layer.

    Args:
      model: keras.Model of images that gives one tensor, or a dict with "logits".
      layer: one of its layers.
      activations: names of those that are left out where a layer ends with one and gives the model's output.

    Returns:
      (features(images), scores(images, features)). The second runs the layers below again, whose results it drops.
    """

    def features(images):
        outputs = []
        with _replaced({id(layer): (layer, _recorded(layer.call, outputs))}):
            model(images, training=False)
        if len(outputs) != 1 or len(getattr(outputs[0], "shape", ())) != 4:
            found = f"is called {len(outputs)} times" if len(outputs) != 1 else "gives no feature map (B, h, w, c)"
            raise ArgumentError("layer", layer.name, f"{found} in {model.name}; choose one that gives a feature map")
        return outputs[0]

    def scores(images, features):
        before = []  # (what a layer with such an activation gave, what it would have given without)
        closing = [each for each in layers_by_path(model).values() if _activation(each) in activations]
        calls = {id(each): (each, _with_and_without(each, before)) for each in closing if each is not layer}
        calls[id(layer)] = (layer, lambda *args, **kwargs: features)
        with _replaced(calls):
            outputs = model(images, training=False)
        outputs = outputs["logits"] if isinstance(outputs, dict) and "logits" in outputs else outputs
        if len(getattr(outputs, "shape", ())) != 2:
            raise ArgumentError("model", model.name, "must give scores of classes (B, C) alone")
        return next((without for given, without in before if given is outputs), outputs)

    return features, scores


def without_activation(layer: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which calls the layer, with a linear activation of that while it runs."""

    def run(*args, **kwargs):
        with _attribute(layer, "activation", keras.activations.linear):
            return function(*args, **kwargs)

    return run


def _activation(layer):
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(layer, "activation", None), "__name__", "")


def _recorded(call, outputs):
    def run(*args, **kwargs):
        outputs.append(call(*args, **kwargs))
        return outputs[-1]

    return run


def _with_and_without(layer, before):
    call = layer.call

    def run(inputs, *args, **kwargs):
        given = call(inputs, *args, **kwargs)
        if isinstance(layer, (keras.layers.Softmax, keras.layers.Activation)):
            before.append((given, inputs))
        else:
            before.append((given, without_activation(layer, call)(inputs, *args, **kwargs)))
        return given

    return run


@contextlib.contextmanager
def _replaced(calls: dict[int, tuple[Any, Callable[..., Any]]]) -> Iterator[None]:
    """Has layers call other functions for a while."""
    with contextlib.ExitStack() as stack:
        for layer, function in calls.values():
            stack.enter_context(_attribute(layer, "call", function))
        yield


@contextlib.contextmanager
def _attribute(layer: Any, name: str, value: Any) -> Iterator[None]:
    """Sets an attribute for a while, past what Keras tracks."""
    own = vars(layer)
    missing = name not in own
    kept = own.get(name)
    own[name] = value
    try:
        yield
    finally:
        if missing:
            del own[name]
        else:
            own[name] = kept
