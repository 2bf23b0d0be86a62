"""python -m e2wsol.convert: there and back, and what comes of a converted model."""

import json
import pathlib

import cv2
import keras
import numpy as np
import pytest
from made_runs import run

from e2wsol import backbones, methods, releases
from e2wsol.backbones import BackboneOptions
from e2wsol.backbones.weights import load_start_weights
from e2wsol.releases.reading import open_checkpoint
from e2wsol.releases.writing import write_npz
from e2wsol.trained_run import load_model

# Method, backbone, what the network needs besides; the suffix of its released files.
RELEASES = {
    **{f"bas_{name}": ("bas", name, (), ".pth") for name in ("vgg16", "mobilenet_v1", "resnet50", "inception_v3")},
    "bas_own": ("bas", "vgg16", ("--bas_erased_statistics=own",), ".pth"),
    **{f"spol_{stage}": (f"spol_{stage}", "resnet50", ("--output_stride=32",), ".pth") for stage in ("cam", "seg")},
    "mnpo": ("mnpo", "vgg16", (), ".pth"),
    "mnpos": ("mnpos", "vgg16", (), ".pth"),
    "e2net_vgg16": ("e2net", "vgg16", (), ".npz"),
    "e2net_resnet50_se": ("e2net", "resnet50_se", ("--ose_batch_norm",), ".npz"),
    "dgl_vgg16": ("dgl", "vgg16", (), ".npz"),
    "dgl_inception_v3_slim": ("dgl", "inception_v3_slim", ("--output_stride=8",), ".npz"),
}
BY_PILLOW = ("bas", "mnpo", "mnpos")  # methods whose release resizes with Pillow
FAST = ("dgl_vgg16",)
SMALL = ("--backbone_width=0.03", "--image_size=64", "--resize_size=72", "--num_classes=3")


def flags_of(release):
    method, backbone, more, _ = RELEASES[release]
    return (f"--method={method}", f"--backbone={backbone}", *more, *SMALL)


def made_up(release, seed=0, classes=3):
    """A model of ours as the release's flags ask for it, every variable made up."""
    method, backbone, more, _ = RELEASES[release]
    options = BackboneOptions(
        backbone=backbone,
        backbone_width=0.03,
        **releases.RELEASES[method].backbone_options,
        **{name: int(value) for name, value in (flag[2:].split("=") for flag in more if "stride" in flag)},
    )
    own = methods.METHODS[method].Options
    settings = {"bas_own": {"erased_statistics": "own"}, "e2net_resnet50_se": {"ose_batch_norm": True}}
    given = [own(**settings.get(release, {}))]
    model = methods.create(
        method,
        backbone=options,
        image_size=64,
        num_classes=classes,
        options=given,
        resize_filter="antialias" if method in BY_PILLOW else "bilinear",
    )
    rng = np.random.default_rng(seed)
    for path, variable in releases.variables(model).items():
        if len(variable.shape) > 1:
            value = rng.standard_normal(variable.shape) * np.sqrt(2 / np.prod(variable.shape[:-1]))
        else:
            value = rng.uniform(0.5, 1.5, variable.shape) - (path.rpartition("/")[2] in ("bias", "beta"))
        variable.assign(value)
    return model


def held(model):
    return {path: keras.ops.convert_to_numpy(value) for path, value in releases.variables(model).items()}


def same(one, other):
    assert one.keys() == other.keys()
    for path, value in one.items():
        np.testing.assert_array_equal(value, other[path])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """files(release) -> (our .keras file, the file in the authors' format made of it)."""
    folder, made = tmp_path_factory.mktemp("convert"), {}

    def make(release):
        suffix = RELEASES[release][3]
        if suffix == ".pth":
            pytest.importorskip("torch", reason="PyTorch files need PyTorch")
        if release not in made:
            ours, theirs = folder / f"{release}.keras", folder / f"{release}{suffix}"
            made_up(release).save(ours)
            assert run("convert", f"--from={ours}", f"--to={theirs}") == 0
            made[release] = ours, theirs
        return made[release]

    return make


@pytest.mark.parametrize(
    "release", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in RELEASES]
)
def test_there_and_back_to_the_bit(release, files, tmp_path, capsys):
    ours, theirs = files(release)
    again = tmp_path / "again.keras"
    assert run("convert", f"--from={theirs}", f"--to={again}", *flags_of(release)) == 0
    assert ", 0 faults" in capsys.readouterr().out
    first, second = load_model(ours), load_model(again)
    same(held(first), held(second))
    assert first.get_config() == second.get_config()
    back = tmp_path / f"back{theirs.suffix}"
    assert run("convert", f"--from={again}", f"--to={back}") == 0
    with open_checkpoint(theirs) as one, open_checkpoint(back) as other:
        assert one.shapes == other.shapes and list(one.shapes) == list(other.shapes)
        for name in one.shapes:
            np.testing.assert_array_equal(one.read(name), other.read(name))


@pytest.mark.parametrize(
    ("classes", "dataset"),
    [(1000, "cub"), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((200, "cub"), (1000, "ilsvrc")))],
)
def test_released_numbers_of_classes(classes, dataset, tmp_path, capsys):
    """Two releases have 1000 outputs on CUB."""
    made_up("dgl_vgg16", classes=classes).save(tmp_path / "ours.keras")
    assert run("convert", f"--from={tmp_path / 'ours.keras'}", f"--to={tmp_path / 'theirs.npz'}") == 0
    flags = [flag for flag in flags_of("dgl_vgg16") if "num_classes" not in flag]
    flags += [f"--dataset={dataset}", f"--from={tmp_path / 'theirs.npz'}"]
    assert run("convert", *flags, f"--to={tmp_path / 'x.keras'}") == 0
    assert capsys.readouterr().out.endswith(f" 0 faults, {classes} classes\n")
    assert load_model(tmp_path / "x.keras").num_classes == classes


def test_report_lists_every_tensor_and_variable(files, tmp_path, capsys):
    _, theirs = files("dgl_vgg16")
    with open_checkpoint(theirs) as source:
        tensors = {name: source.read(name) for name in source.shapes} | {"global_step": np.array(5)}
    write_npz(tmp_path / "more.npz", tensors)
    flags = (f"--from={tmp_path / 'more.npz'}", f"--to={tmp_path / 'x.keras'}", *flags_of("dgl_vgg16"))
    assert run("convert", *flags, "--report") == 0
    text = capsys.readouterr().out
    assert "conv1_1/W (3, 3, 3, 4) -> conv1_1/kernel" in text and "global_step: not read (" in text
    assert all(f"-> {path}\n" in text for path in held(load_model(tmp_path / "x.keras")))


@pytest.mark.slow
def test_a_run_folder_evaluates_exports_predicts_and_trains_on(files, tiny_records, tmp_path, capsys):
    _, theirs = files("bas_vgg16")
    folder = tmp_path / "run"
    flags = (*flags_of("bas_vgg16")[:-1], f"--data_dir={tiny_records}", "--batch_size=8", "--epochs=1")
    flags = (*flags, "--steps_per_epoch=2", "--tensorboard_pictures=0", "--shuffle_buffer=8")
    assert run("convert", f"--from={theirs}", f"--to={folder}", *flags) == 0
    before = held(load_model(folder / "checkpoints" / "best" / "model.keras"))
    with open_checkpoint(theirs) as source:
        kernel = source.read("conv1_1.weight").transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(before["conv1_1/kernel"], kernel)
    assert run("evaluate", f"--run_dir={folder}", "--samples=2") == 0
    assert json.loads((folder / "result.json").read_text())["method"] == "bas"
    assert run("export", f"--run_dir={folder}") == 0 and (folder / "export" / "saved_model.pb").exists()
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    assert run("predict", f"--model={folder}", f"--output={tmp_path / 'boxes.json'}", str(picture)) == 0
    capsys.readouterr()
    origin = releases.RELEASES["bas"].backbone_options
    given = (*flags, *(f"--{name}={value}" for name, value in origin.items()))
    given = [flag for flag in given if not flag.startswith("--num_classes")]
    assert run("train", f"--run_dir={folder}", "--learning_rate=0", *given) == 2  # another rate than the folder's
    assert run("train", f"--run_dir={folder}", *given) == 0
    assert "resumed from" in capsys.readouterr().out
    after = held(load_model(folder / "checkpoints" / "last" / "model.keras"))
    steps = max(np.abs(after[path] - before[path]).max() for path in before)
    assert 0 < steps < 0.2, "training went on from the converted weights"
    assert run("convert", f"--from={theirs}", f"--to={folder}", *flags) == 2
    assert "is there already; give the name of a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "backbone",
    ["vgg16", *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet50_se", "inception_v3_slim"))],
)
def test_start_weights(backbone, tmp_path, capsys):
    options = BackboneOptions(backbone=backbone, backbone_width=0.03)
    network = backbones.build(options, 64)
    rng = np.random.default_rng(1)
    variables = releases.variables(network)
    for variable in variables.values():
        variable.assign(rng.uniform(0.1, 1, variable.shape))
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    naming = next(one for one in releases.start_namings(backbone, shapes) if one.container == "tensorflow")
    tensors = {pair.theirs: pair.to_theirs(np.asarray(variables[pair.ours])) for pair in naming.pairs}
    head = {"vgg16": "fc8/W", "resnet50_se": "linear/W", "inception_v3_slim": "InceptionV3/AuxLogits/x/weights"}
    write_npz(tmp_path / "released.npz", {**tensors, head[backbone]: np.zeros((2, 3), np.float32)})
    flags = (f"--from={tmp_path / 'released.npz'}", f"--backbone={backbone}", "--backbone_width=0.03")
    assert run("convert", *flags, f"--to={tmp_path / 'start.npz'}") == 0
    assert "1 known and not read, 0 faults" in capsys.readouterr().out
    filled = backbones.build(options, 64)
    assert load_start_weights(filled, options, str(tmp_path / "start.npz")).not_filled == ()
    same(held(network), held(filled))


@pytest.mark.slow
def test_a_file_of_keras_applications(tmp_path, capsys):
    source = keras.applications.VGG16(weights=None, include_top=False)
    source.save_weights(tmp_path / "vgg16_notop.weights.h5")
    flags = (f"--from={tmp_path / 'vgg16_notop.weights.h5'}", f"--to={tmp_path / 'start.npz'}")
    assert run("convert", *flags, "--backbone=vgg16") == 0
    with np.load(tmp_path / "start.npz") as archive:
        np.testing.assert_array_equal(archive["conv5_3/kernel"], source.get_layer("block5_conv3").kernel.numpy())
        assert len(archive.files) == 26
    assert run("convert", flags[0], f"--to={tmp_path / 'other.npz'}", "--backbone=mobilenet_v1") == 2
    assert f"{flags[0]}: not keras.applications' MobileNet without its top" in capsys.readouterr().err


def test_verify_sees_a_changed_weight_and_a_changed_picture(files, tmp_path, capsys, monkeypatch):
    _, theirs = files("dgl_vgg16")
    picture = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (72, 72, 3), np.uint8)
    cv2.imwrite(str(picture), pixels)
    flags = (f"--from={theirs}", *flags_of("dgl_vgg16"), f"--verify={picture}")
    assert run("convert", *flags, f"--to={tmp_path / 'x.keras'}") == 0
    said = capsys.readouterr().out
    assert "model difference: 0 of 30 tensors differ" in said
    assert "resize with opencv): at most 0, on average 0.00" in said, "a picture of --resize_size needs no resizing"
    assert "map at most 0.000 of 1, box IoU 1.000" in said
    cv2.imwrite(str(picture), cv2.resize(pixels, (300, 200)))
    assert run("convert", *flags, f"--to={tmp_path / 'y.keras'}") == 0
    levels = int(capsys.readouterr().out.split("at most ")[1].split(",")[0])
    assert levels <= 1, "ours resizes as OpenCV does, but for rounding"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--from=",), "--from is missing"),
        (("--to=",), "--to is missing"),
        (("--to=x.h5",), "--to=x.h5: unknown kind; give NAME.keras, a folder"),
        (("--to=x.pth",), "--to=x.pth: a .pth is made of a model of ours"),
        (("--from=nowhere.npz",), "nowhere.npz"),
        (("--method=adl",), "--method=adl: no checkpoint was released; released are bas, "),
        (("--backbone=mobilenet_v1",), "dgl on mobilenet_v1: its authors released no such network"),
        (("--backbone=mobilenet_v1", "--dataset=cub"), "--dataset=cub: dgl on mobilenet_v1 has no released settings"),
        (("--num_classes=0",), "--num_classes is missing"),
        (("--num_classes=4",), "linear/W: shape (31, 3), the network needs (31, 4)"),
        (("--backbone_width=0.05",), "conv2_1/W: shape (3, 3, 4, 4), the network needs"),
        (("--preprocessing=caffe",), "--preprocessing=caffe: the released weights of dgl need --preprocessing=imag"),
        (("--method=mnpo",), "a .npz file, where pytorch names are expected"),
        (("--to=folder",), "--to=folder: a run folder needs the names of its classes: give --data_dir"),
        (("stray",), "stray: unexpected argument"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(files, tmp_path, capsys, monkeypatch, flags, words):
    _, theirs = files("dgl_vgg16")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert run("convert", f"--from={theirs}", "--to=x.keras", *flags_of("dgl_vgg16"), *flags) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and words in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_model_of_ours_in_the_wrong_format_is_refused(files, tmp_path, capsys):
    ours, _ = files("dgl_vgg16")
    assert run("convert", f"--from={ours}", f"--to={tmp_path / 'x.pth'}") == 2
    assert "is a .npz file; give NAME.npz" in capsys.readouterr().err


def test_a_file_that_is_there_is_kept(files, tmp_path, capsys):
    ours, theirs = files("dgl_vgg16")
    for source, target in ((ours, tmp_path / "x.npz"), (theirs, tmp_path / "x.keras"), (theirs, tmp_path / "x.npz")):
        target.write_bytes(b"mine")
        assert run("convert", f"--from={source}", f"--to={target}", *flags_of("dgl_vgg16")) == 2
        assert "is there already; give another name, or delete it" in capsys.readouterr().err
        assert target.read_bytes() == b"mine"


def test_every_release_names_a_flagfile_that_agrees_with_its_weights():
    """But for the preprocessing, which follows the start weights that the flagfile takes (see --help)."""
    for method, release in releases.RELEASES.items():
        for backbone in release.backbones:
            for dataset in releases.DATASET_CLASSES:
                text = pathlib.Path(releases.released_flagfile(method, backbone, dataset)).read_text()
                assert f"--method={method}\n" in text and f"--backbone={backbone}\n" in text
