"""What must work under every backend of Keras; run by test_other_backends.py in an environment without TensorFlow.

python on_backend.py FOLDER: FOLDER holds what `write_expected` wrote under TensorFlow.
"""

import importlib
import importlib.util
import pathlib
import sys

import keras
import numpy as np

from e2wsol import methods, trained_run
from e2wsol.backbones import BackboneOptions
from e2wsol.localization.boxes import extract_box
from e2wsol.localizers import Localizer, LocalizerOptions
from e2wsol.training.optimizers import NesterovMomentum

SIZE, CLASSES = 32, 3
METHODS = {"cam": "mobilenet_v1", "bas": "vgg16", "e2net": "vgg16"}
rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)
LABELS = np.array([0, 2, 1, 2], np.int32)
# Smooth, of several sizes, so that boxes hang on no single pixel.
PHOTOS = [
    np.repeat(np.repeat(rng.integers(0, 256, (5, 4, 3), np.uint8), side, axis=0), 2 * side, axis=1)
    for side in (5, 9, 40)
]


def create(name):
    """A small method with random numbers in every variable."""
    keras.utils.set_random_seed(0)
    backbone = BackboneOptions(backbone=METHODS[name], backbone_width=0.1)
    model = methods.create(name, backbone=backbone, image_size=SIZE, num_classes=CLASSES)
    numbers = np.random.default_rng(2)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(keras.ops.convert_to_numpy(weight) + numbers.uniform(0, 0.2, weight.shape))
    return model


def predictions(file):
    """{what was asked for: (k,) Localizations} of a .keras file."""
    run = trained_run.load(file)
    asked = {
        "plain": {},
        "two classes": {"top_k": 2},
        "given": {"labels": [2, 0, 1]},
        "threshold": {"threshold": 0.5, "protocol": "maxboxacc"},
    }
    if run.model.key == "cam":
        asked["gradcam"] = {"localizer": "gradcam"}
    # Batches of two: the last one is filled up.
    return {key: run.predict(PHOTOS, batch_size=2, **settings) for key, settings in asked.items()}


def write_expected(folder):
    """Models and what they predict under this process's backend."""
    arrays = {}
    for name in METHODS:
        file = folder / f"{name}.keras"
        create(name).save(file)
        for key, found in predictions(file).items():
            for attribute in ("labels", "scores", "boxes", "map"):
                stacked = np.stack([getattr(each, attribute) for each in found])
                arrays[f"{name}/{key}/{attribute}"] = stacked
    np.savez(folder / "expected.npz", **arrays)


def check_predictions(folder):
    """The same files give the same under this backend."""
    with np.load(folder / "expected.npz") as stored:
        expected = dict(stored)
    for name in METHODS:
        for key, found in predictions(folder / f"{name}.keras").items():
            stacked = {
                attribute: np.stack([getattr(each, attribute) for each in found])
                for attribute in ("labels", "scores", "boxes", "map")
            }
            for attribute, tolerance in (("labels", 0), ("scores", 1e-5), ("map", 1e-4), ("boxes", 0)):
                message = f"{name}, {key}: {attribute}"
                wanted = expected[f"{name}/{key}/{attribute}"]
                np.testing.assert_allclose(stacked[attribute], wanted, rtol=0, atol=tolerance, err_msg=message)


def check_method(name, folder):
    """Built, trained by `fit`, asked for maps, saved and loaded again."""
    model = create(name)
    before = [keras.ops.convert_to_numpy(each) for each in model.trainable_weights]
    model.compile(optimizer=NesterovMomentum(learning_rate=0.01))
    history = model.fit(IMAGES, LABELS, batch_size=2, epochs=1, shuffle=False, verbose=0, callbacks=model.callbacks())
    assert np.isfinite(history.history["loss"]).all()
    after = [keras.ops.convert_to_numpy(each) for each in model.trainable_weights]
    assert any((one != other).any() for one, other in zip(before, after))
    logits, maps = (keras.ops.convert_to_numpy(each) for each in model.localize(IMAGES, LABELS))
    assert logits.shape == (4, CLASSES) and maps.ndim == 3
    box = extract_box(maps[0], image_size=(640, 480))
    assert box.shape == (4,) and (box <= [640, 480, 640, 480]).all()
    model.save(folder / f"trained_{name}.keras")
    found = trained_run.load(folder / f"trained_{name}.keras").predict(IMAGES[0], labels=0)
    np.testing.assert_allclose(found.scores[0], softmax(logits[0])[0], rtol=1e-4)
    assert found.plot().size[0] > 0
    score(maps)


def check_localizers():
    """Gradients at the backend's hands."""
    options = LocalizerOptions(localizer=("gradcam", "layercam"), layer_fusion="none")
    _, maps = Localizer(create("cam"), options).localize_layers(IMAGES, LABELS)
    assert len(maps) == 2
    for each in maps.values():
        values = keras.ops.convert_to_numpy(each)
        assert values.shape[0] == 4 and np.isfinite(values).all()


def score(maps):
    """The maps go into an evaluator with one true box each."""
    from e2wsol.localization import protocols
    from e2wsol.localization.frame import Frame
    from e2wsol.localization.metrics import LocalizationScorer

    scorer = LocalizationScorer(protocols.get("maxboxacc"), Frame(size=SIZE, resize=SIZE))
    for values, label in zip(maps, LABELS):
        scorer.update(values, boxes=np.array([[0.0, 0.0, SIZE, SIZE]]), image_size=(SIZE, SIZE), label=int(label))
    assert scorer.pictures == len(maps)
    assert 0 <= scorer.max_box_acc(0.5).value <= 1


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


if __name__ == "__main__":
    where = pathlib.Path(sys.argv[1])
    assert importlib.util.find_spec("tensorflow") is None, "TensorFlow is here"
    check_predictions(where)
    check_localizers()
    for key in METHODS:
        check_method(key, where)
    print(f"all well under {keras.backend.backend()}")
