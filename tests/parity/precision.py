"""Running a case in float64, where float32's own error is larger than what is to be told apart."""

import contextlib

import keras


@contextlib.contextmanager
def float64():
    """Models and optimizers (whose learning rate follows floatx) made inside compute in float64."""
    try:
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
