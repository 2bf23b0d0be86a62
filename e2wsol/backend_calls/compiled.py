"""Functions of arrays, run by the backend in use: compiled where it compiles, nothing recorded for gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops, tree

from e2wsol.errors import ArgumentError


def compiled(function: Callable, variables: Sequence[Any] = (), *, jit: bool = False) -> Callable:
    """A function of arrays that gives arrays.

    TensorFlow makes a graph of it for each shape of its arguments. JAX and PyTorch run it operation by operation.

    Args:
      function: maps tensors to a structure of tensors and Nones; it changes no state.
      variables: Keras variables that it reads and that may change between calls; JAX's compiler bakes all others in.
      jit: whether XLA compiles it.

    Returns:
      f(*arrays) -> the structure with np.ndarrays for the tensors.

    Raises:
      ArgumentError: XLA is asked for under a backend that has none.
    """
    run = _BACKENDS[keras.backend.backend()](function, variables, jit)

    def call(*arrays: Any) -> Any:
        return tree.map_structure(_to_numpy, run(*map(ops.convert_to_tensor, arrays)))

    return call


def _to_numpy(result: Any) -> Any:
    return None if result is None else ops.convert_to_numpy(result)


def _tensorflow(function: Callable, variables: Sequence[Any], jit: bool) -> Callable:
    import tensorflow as tf

    return tf.function(function, autograph=False, jit_compile=jit)


def _jax(function: Callable, variables: Sequence[Any], jit: bool) -> Callable:
    if not jit:
        return function
    import jax

    @jax.jit
    def of_values(values: list[Any], *tensors: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values))):
            return function(*tensors)

    return lambda *tensors: of_values([variable.value for variable in variables], *tensors)


def _torch(function: Callable, variables: Sequence[Any], jit: bool) -> Callable:
    import torch

    if jit:
        raise ArgumentError("jit", jit, "XLA compiles under Keras' backends tensorflow and jax, not under torch")
    return torch.no_grad()(function)


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
