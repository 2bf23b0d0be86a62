import numpy as np
import tensorflow as tf

from e2wsol.prediction.fixed_batch import FixedBatch


def test_smaller_batches_use_the_same_graph_and_lose_what_filled_them_up():
    function = FixedBatch(
        lambda x, y: (None, {"sum": x + y, "count": tf.ones(tf.shape(x)[0]) * tf.cast(tf.shape(x)[0], tf.float32)})
    )
    x, y = np.arange(10.0).reshape(5, 2), np.ones((5, 2))
    for count in (4, 1, 3, 4):
        nothing, found = function(tf.constant(x[:count]), tf.constant(y[:count]))
        assert nothing is None
        np.testing.assert_array_equal(found["sum"], x[:count] + 1)
        np.testing.assert_array_equal(found["count"], np.full(count, 4))
    assert function.traces == 1
    assert len(function(tf.constant(x), tf.constant(y))[1]["sum"]) == 5 and function.traces == 2


def test_compiled_by_xla_it_is_the_same():
    function = FixedBatch(lambda x: tf.nn.softmax(x), jit=True)
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    np.testing.assert_allclose(function(x), tf.nn.softmax(x), rtol=1e-6)
