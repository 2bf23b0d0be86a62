"""HaS, CutMix, ACoL and SPG, the reference benchmark's methods: what they add to CAM, against NumPy."""

import keras
import numpy as np
import pytest

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.errors import UserError
from e2wsol.layers import PatchHiding, PatchMixing
from e2wsol.methods.acol import ACoLOptions
from e2wsol.methods.spg import SPGOptions, taught

SIZE, CLASSES = 32, 4
IMAGES = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.array([0, 3, 2, 1, 3, 0], np.int32)


def create(method, *options):
    keras.utils.set_random_seed(0)
    backbone = BackboneOptions(backbone_width=0.05, output_stride=8)
    return methods.create(method, backbone=backbone, image_size=SIZE, num_classes=CLASSES, options=options)


def softmax_cross_entropy(labels, logits):
    logits = np.asarray(logits, np.float64)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]


def min_max(maps):
    maps = maps - maps.min(axis=(1, 2), keepdims=True)
    return maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-30)


def test_hidden_patches_are_whole_cells_of_the_mean_colour():
    images = np.full((200, 20, 28, 3), 7, np.uint8)
    seen = np.asarray(PatchHiding(8, 0.3, seed=1)(images, training=True))
    cells = np.stack([[seen[:, 8 * y, 8 * x] for x in range(4)] for y in range(3)])
    assert {tuple(colour) for colour in cells.reshape(-1, 3)} == {(7, 7, 7), (124, 116, 104)}
    for y in range(3):
        for x in range(4):
            cell = seen[:, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
            assert (cell == cell[:, :1, :1]).all()
    hidden = (cells[..., 0] == 124).astype(float)
    assert abs(hidden.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / hidden.size)
    pairs = np.corrcoef(hidden.reshape(12, -1))  # every cell for itself, in every picture anew
    assert np.abs(pairs - np.eye(12)).max() < 0.35


def test_nothing_is_hidden_or_mixed_in_inference():
    np.testing.assert_array_equal(PatchHiding(8)(IMAGES, training=False), IMAGES)
    images, partner, share = PatchMixing()(IMAGES, training=False)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(partner, np.arange(6))
    np.testing.assert_array_equal(share, np.ones(6))


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_mixed_pictures_have_one_rectangle_of_their_partner(beta):
    layer, shares = PatchMixing(beta, seed=3), []
    plain = np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None, None], (6, 24, 16, 3))
    for _ in range(60):
        images, partner, share = (np.asarray(each) for each in layer(plain, training=True))
        assert sorted(partner) == list(range(6))
        moved = partner != np.arange(6)
        foreign = images[..., 0] != plain[..., 0]
        for picture, number in zip(images[moved], partner[moved]):
            assert set(np.unique(picture)) <= {number, *np.unique(plain[moved])}
        inside = foreign[moved].any(axis=0)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        assert inside.sum() == len(rows) * len(columns)
        if moved.any():
            assert inside[rows[:1], columns[:1]].all() and share[0] == pytest.approx(1 - inside.mean())
        assert (share == share[0]).all()
        shares.append(share[0])
    assert min(shares) < 0.5 and max(shares) > 0.95


def test_batches_are_mixed_as_often_as_asked():
    layer = PatchMixing(1.0, 0.25, seed=5)
    mixed = [float(layer(IMAGES, training=True)[2][0]) < 1 for _ in range(120)]
    assert 0.1 < np.mean(mixed) < 0.4


def test_cutmix_learns_both_labels_by_their_shares():
    model = create("cutmix")
    logits = np.random.default_rng(1).normal(size=(6, CLASSES)).astype(np.float32)
    partner, share = np.array([3, 0, 1, 2, 5, 4], np.int32), np.full(6, 0.7, np.float32)
    found = model.loss_terms(LABELS, {"logits": logits, "partner": partner, "share": share})["classification"]
    expected = 0.7 * softmax_cross_entropy(LABELS, logits) + 0.3 * softmax_cross_entropy(LABELS[partner], logits)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_acol_erases_what_the_first_classifier_found():
    model = create("acol", ACoLOptions(threshold=0.4))
    outputs = {name: np.asarray(value) for name, value in model(IMAGES, training=False).items()}
    first = outputs["class_maps"][np.arange(6), :, :, LABELS]
    kept = min_max(first) <= 0.4
    assert 0.05 < kept.mean() < 0.95
    second = np.asarray(model.second(outputs["features"] * kept[..., None]))
    terms = model.loss_terms(LABELS, outputs)
    np.testing.assert_allclose(terms["classification"], softmax_cross_entropy(LABELS, outputs["logits"]), rtol=1e-4)
    np.testing.assert_allclose(terms["complement"], softmax_cross_entropy(LABELS, second.mean(axis=(1, 2))), rtol=1e-4)
    _, maps = model.localize(IMAGES, LABELS)
    expected = np.maximum(min_max(first), min_max(second[np.arange(6), :, :, LABELS]))
    np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_spg_masks_learn_from_the_sure_pixels_alone():
    rng = np.random.default_rng(2)
    logits, teacher = rng.normal(size=(3, 5, 7)).astype(np.float32), rng.uniform(size=(3, 5, 7)).astype(np.float32)
    teacher[2] = 0.5  # nothing sure
    found = taught(keras.ops.convert_to_tensor(logits), keras.ops.convert_to_tensor(teacher), 0.2, 0.7)
    for index in range(2):
        certain = (teacher[index] > 0.7) | (teacher[index] < 0.2)
        target = teacher[index][certain] > 0.7
        probability = 1 / (1 + np.exp(-logits[index][certain].astype(np.float64)))
        losses = -np.where(target, np.log(probability), np.log(1 - probability))
        assert float(found[index]) == pytest.approx(losses.mean(), rel=1e-4)
    assert float(found[2]) == 0


def test_spg_passes_guidance_from_the_map_to_the_shallow_mask():
    model = create("spg", SPGOptions(attention_high=0.6, attention_low=0.4))
    outputs = model(IMAGES, training=False)
    terms = {name: np.asarray(term) for name, term in model.loss_terms(LABELS, outputs).items()}
    assert set(terms) == {"classification", "deep", "middle", "shallow"}
    attention = min_max(np.asarray(outputs["class_maps"])[np.arange(6), :, :, LABELS])
    expected = taught(outputs["deep"], keras.ops.convert_to_tensor(attention), 0.4, 0.6)
    np.testing.assert_allclose(terms["deep"], expected, rtol=1e-5)
    _, maps = model.localize(IMAGES, LABELS)
    np.testing.assert_allclose(min_max(np.asarray(maps)), attention, atol=1e-6)


def test_thresholds_of_spg_must_be_in_order():
    with pytest.raises(UserError, match=r"deep_low=0.6: must be at most deep_high=0.5"):
        SPGOptions(deep_low=0.6)
