"""Vector-Jacobian products.

No gradient with respect to a weight is computed, and nothing stays on the model.
"""

import keras
from keras import ops, tree


def pullback(function, x):
    """Calls a function so that it can be differentiated afterwards, as often as needed.

    Args:
      function: maps `x` to a dict of float tensors (B, ...); no random numbers, no state.
      x: a float tensor (B, ...), or a nested structure of them.

    Returns:
      (outputs, pull): what the function gave, and
      pull(cotangents): cotangents is a list of K dicts {name of an output: tensor of its shape}, where
        an output left out counts as zero; returns a list of K structures like `x`, the sums over the
        outputs of cotangent times Jacobian; zeros where nothing depends on x.
    """
    return _BACKENDS[keras.backend.backend()](function, x)


def without_gradient(function, x):
    """function(x), nothing recorded for gradients."""
    if keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            return function(x)
    return function(x)


def _tensorflow(function, x):
    import tensorflow as tf

    sources = tree.flatten(x)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(sources)
        outputs = function(x)

    def pull(cotangents):
        return [
            tree.pack_sequence_as(x, _tensorflow_gradient(tape, sources, *_aligned(outputs, each)))
            for each in cotangents
        ]

    return outputs, pull


def _tensorflow_gradient(tape, sources, targets, weights):
    import tensorflow as tf

    return tape.gradient(targets, sources, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _jax(function, x):
    import jax

    outputs, transposed = jax.vjp(function, x)

    def pull(cotangents):
        zeros = {name: ops.zeros_like(output) for name, output in outputs.items()}
        return [transposed({**zeros, **dict(zip(each, _aligned(outputs, each)[1]))})[0] for each in cotangents]

    return outputs, pull


def _torch(function, x):
    import torch

    x = tree.map_structure(lambda tensor: tensor.detach().requires_grad_(True), x)
    with torch.enable_grad():
        outputs = function(x)

    def pull(cotangents):
        return [tree.pack_sequence_as(x, gradient(*_aligned(outputs, each))) for each in cotangents]

    def gradient(targets, weights):
        sources = tree.flatten(x)
        depending = [pair for pair in zip(targets, weights) if pair[0].requires_grad]
        if not depending:
            return [torch.zeros_like(source) for source in sources]
        found = torch.autograd.grad(
            [target for target, _ in depending],
            sources,
            grad_outputs=[weight for _, weight in depending],
            retain_graph=True,
            allow_unused=True,
        )
        return [torch.zeros_like(source) if one is None else one for source, one in zip(sources, found)]

    return {name: output.detach() for name, output in outputs.items()}, pull


def _aligned(outputs, cotangent):
    """Lists (outputs, weights) of the names in `cotangent`, in its order; weights of the outputs' types."""
    targets = [outputs[name] for name in cotangent]
    weights = [ops.convert_to_tensor(weight, dtype=target.dtype) for weight, target in zip(cotangent.values(), targets)]
    return targets, weights


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
