import keras
import numpy as np
from keras import ops

from e2wsol.prediction.fixed_batch import FixedBatch


def test_smaller_batches_use_the_same_graph_and_lose_what_filled_them_up():
    shapes = []

    def function(x, y):
        shapes.append(tuple(x.shape))  # TensorFlow runs this once a graph
        return None, {"sum": x + y, "count": ops.ones(x.shape[0]) * x.shape[0]}

    fixed = FixedBatch(function)
    x, y = np.arange(10.0).reshape(5, 2), np.ones((5, 2))
    for count in (4, 1, 3, 4):
        nothing, found = fixed(x[:count], y[:count])
        assert nothing is None and isinstance(found["sum"], np.ndarray)
        np.testing.assert_array_equal(found["sum"], x[:count] + 1)
        np.testing.assert_array_equal(found["count"], np.full(count, 4))
    assert shapes == [(4, 2)]
    assert len(fixed(x, y)[1]["sum"]) == 5 and shapes[1:] == [(5, 2)]


def test_compiled_by_xla_it_is_the_same_and_sees_new_weights():
    weight = keras.Variable(np.float32(1.0))
    function = FixedBatch(lambda x: ops.softmax(weight * x), [weight], jit=True)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    for value in (1.0, 3.0):
        weight.assign(value)
        powers = np.exp(value * x)
        np.testing.assert_allclose(function(x), powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)
