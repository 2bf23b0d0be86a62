import keras
import numpy as np

from e2wsol.layers import AttentionDropout


def features(seed=0):
    return np.random.default_rng(seed).gamma(1.0, size=(3, 4, 5, 6)).astype(np.float32)


def attention(x):
    return x.mean(axis=-1, keepdims=True)


def test_inference_returns_the_features():
    x = features()
    np.testing.assert_array_equal(AttentionDropout()(x, training=False), x)
    np.testing.assert_array_equal(AttentionDropout()(x), x)


def test_keep_prob_one_weights_by_the_importance_map():
    x = features()
    expected = x / (1 + np.exp(-attention(x)))
    np.testing.assert_allclose(AttentionDropout(keep_prob=1.0)(x, training=True), expected, rtol=1e-5)


def test_keep_prob_zero_drops_the_salient_positions():
    x = features()
    peak = attention(x).max(axis=(1, 2), keepdims=True)
    kept = attention(x) < 0.7 * peak
    assert 0 < kept.mean() < 1
    outputs = np.asarray(AttentionDropout(threshold=0.7, keep_prob=0.0)(x, training=True))
    np.testing.assert_array_equal(outputs, x * kept)


def test_threshold_counts_for_each_picture():
    x = features()
    x[0] *= 100
    outputs = np.asarray(AttentionDropout(threshold=0.7, keep_prob=0.0)(x, training=True))
    assert all(np.any(picture > 0) and np.any(picture.max(-1) == 0) for picture in outputs)


def test_one_draw_for_the_batch_with_the_given_share():
    x = features()
    layer = AttentionDropout(keep_prob=0.25, seed=7)
    importance = x / (1 + np.exp(-attention(x)))
    kept = 0
    for _ in range(200):
        outputs = np.asarray(layer(x, training=True))
        whole = np.allclose(outputs, importance, rtol=1e-5)
        kept += whole
        if not whole:
            np.testing.assert_array_equal(np.unique(outputs[outputs != 0] / x[outputs != 0]), 1)
    assert 30 <= kept <= 70  # 50 +- 3.3 standard deviations


def test_random_state_is_a_variable_so_that_checkpoints_can_keep_it():
    x = features()
    layer = AttentionDropout(keep_prob=0.5, seed=1)
    layer(x, training=True)
    state = layer.seed_generator.state.numpy()
    first = [np.asarray(layer(x, training=True)) for _ in range(6)]
    layer.seed_generator.state.assign(state)
    second = [np.asarray(layer(x, training=True)) for _ in range(6)]
    np.testing.assert_array_equal(first, second)


def test_config_round_trip():
    layer = AttentionDropout(0.4, 0.6, seed=3, name="adl")
    assert AttentionDropout.from_config(layer.get_config()).get_config() == layer.get_config()
    assert keras.saving.get_registered_name(AttentionDropout) == "e2wsol>AttentionDropout"
