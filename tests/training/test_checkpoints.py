import errno
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from e2wsol import methods, trained_run
from e2wsol.backbones import BackboneOptions
from e2wsol.errors import UserError
from e2wsol.training import checkpoints
from e2wsol.training.optimizers import NesterovMomentum

SIZE = 16
IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 1])


def made(seed=0, num_classes=3):
    """ADL with batch normalization: random state, moving statistics and momentum all count."""
    keras.utils.set_random_seed(seed)
    backbone = BackboneOptions(backbone="vgg16", backbone_width=0.01, backbone_batch_norm=True)
    model = methods.create("adl", backbone=backbone, image_size=SIZE, num_classes=num_classes)
    optimizer = NesterovMomentum(0.05)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def train(model, optimizer, steps):
    import tensorflow as tf

    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(IMAGES, LABELS, model(IMAGES, training=True))
        optimizer.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]), model.trainable_variables)


def everything(model, optimizer):
    """(path, value) of all that a run depends on; numbers in the paths of random states differ between models."""
    return [(v.path, np.asarray(v.value)) for v in [*model.variables, *optimizer.variables]]


def assert_equal(one, other):
    assert len(one) == len(other)
    for (path, value), (_, expected) in zip(one, other):
        np.testing.assert_array_equal(value, expected, err_msg=path)


@functools.cache
def shared_pair():
    return made()


def save(folder, step, *, best=False, pair=None):
    model, optimizer = pair or shared_pair()
    checkpoints.save(folder, model, optimizer, {"step": step, "best": 0.5}, best=best)
    return model, optimizer


def test_restored_run_goes_on_bit_for_bit(tmp_path):
    model, optimizer = made(seed=1)
    train(model, optimizer, 3)
    checkpoints.save(tmp_path, model, optimizer, {"step": 3, "best": 0.25})
    again, again_optimizer = made(seed=2)
    state = checkpoints.restore(checkpoints.last(tmp_path), again, again_optimizer)
    assert (state["step"], state["best"]) == (3, 0.25)
    before = everything(model, optimizer)
    assert any("seed" in path for path, _ in before) and any("velocity" in path for path, _ in before)
    assert int(again_optimizer.iterations) == 3
    assert_equal(before, everything(again, again_optimizer))
    for pair in ((model, optimizer), (again, again_optimizer)):
        train(*pair, 3)
    assert_equal(everything(model, optimizer), everything(again, again_optimizer))


def test_checkpoint_is_a_model_file(tmp_path):
    model, _ = save(tmp_path, 1)
    again = trained_run.load_model(tmp_path / "last" / "model.keras")
    np.testing.assert_array_equal(again(IMAGES)["logits"], model(IMAGES)["logits"])


def test_newest_two_and_the_best_are_kept(tmp_path):
    for step in range(1, 7):
        save(tmp_path, step, best=step == 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("best", "last", "step-00000002", "step-00000005", "step-00000006")
    ]
    assert os.readlink(tmp_path / "best") == "step-00000002"
    assert os.readlink(tmp_path / "last") == checkpoints.last(tmp_path).name == "step-00000006"


def test_same_step_can_be_saved_twice(tmp_path):
    save(tmp_path, 4, best=True)
    save(tmp_path, 4)
    assert checkpoints.last(tmp_path).name == "step-00000004"


def tear(path, name):
    file = path / name
    if name == "state.json":
        file.write_text(file.read_text()[:20])
    else:
        file.write_bytes(file.read_bytes()[:-7])


@pytest.mark.parametrize("name", ["model.keras", "optimizer.npz", "state.json"])
@pytest.mark.parametrize("damage", ["torn", "missing"])
def test_torn_checkpoint_is_passed_over(tmp_path, name, damage, capsys):
    save(tmp_path, 1)
    save(tmp_path, 2)
    newest = tmp_path / "step-00000002"
    if damage == "torn":
        tear(newest, name)
    else:
        (newest / name).unlink()
    assert checkpoints.last(tmp_path) == tmp_path / "step-00000001"
    assert capsys.readouterr().err == f"{newest}: damaged checkpoint, passed over\n"
    tear(tmp_path / "step-00000001", "model.keras")
    assert checkpoints.last(tmp_path) is None


def test_nothing_there_is_none(tmp_path):
    assert checkpoints.last(tmp_path / "nowhere") is None


def test_left_over_temporary_folder_does_not_count(tmp_path):
    (tmp_path / ".tmp-77-step-00000009").mkdir()
    save(tmp_path, 1)
    assert not list(tmp_path.glob(".tmp*"))
    assert checkpoints.last(tmp_path).name == "step-00000001"
    save(tmp_path, 9)
    assert checkpoints.last(tmp_path).name == "step-00000009"


def test_checkpoint_of_another_network_is_an_error(tmp_path):
    save(tmp_path, 1)
    model, optimizer = made(num_classes=4)
    with pytest.raises(UserError, match="checkpoint of another network"):
        checkpoints.restore(checkpoints.last(tmp_path), model, optimizer)
    model, _ = made()
    with pytest.raises(UserError, match=r"optimizer.npz: \d+ variables, the optimizer has \d+"):
        other = keras.optimizers.Adam()
        other.build(model.trainable_variables)
        checkpoints.restore(checkpoints.last(tmp_path), model, other)


@pytest.mark.parametrize("place", ["model", "optimizer", "rename", "link"])
def test_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch, place):
    model, optimizer = save(tmp_path, 1, best=True, pair=made())
    before = everything(model, optimizer)
    train(model, optimizer, 1)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    owner, name = {
        "model": (type(model), "save"),
        "optimizer": (np, "savez"),
        "rename": (os, "replace"),
        "link": (checkpoints, "_point"),
    }[place]
    with monkeypatch.context() as patch, pytest.raises(UserError, match=r"No space left on device.*stays good"):
        patch.setattr(owner, name, full)
        save(tmp_path, 2, best=True, pair=(model, optimizer))
    assert not list(tmp_path.glob(".tmp*"))
    again, again_optimizer = made(seed=3)
    if place == "link":  # the new checkpoint was whole already
        assert checkpoints.last(tmp_path).name == "step-00000002"
        return
    assert checkpoints.last(tmp_path).name == "step-00000001"
    checkpoints.restore(tmp_path / "best", again, again_optimizer)
    assert_equal(everything(again, again_optimizer), before)


def test_full_disk_before_the_first_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(UserError, match="there is none before it"):
        save(tmp_path, 1)


LIMITED = """
import resource, sys
sys.path.insert(0, {tests!r})
import test_checkpoints as t
from e2wsol.errors import UserError
folder = t.pathlib.Path({folder!r})
pair = t.save(folder, 1)
good = t.everything(*pair)
sizes = {{name: (folder / "last" / name).stat().st_size for name in ("model.keras", "optimizer.npz")}}
t.train(*pair, 1)
for size in (0, 100, sizes["model.keras"] // 2, sizes["model.keras"] - 100, sizes["model.keras"] + 10):
    if size > max(sizes.values()):
        continue
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        t.save(folder, 2, pair=pair)
    except UserError as error:
        assert "File too large" in str(error) and "stays good" in str(error), error
    else:
        raise SystemExit(f"no error at {{size}} bytes")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert t.checkpoints.last(folder).name == "step-00000001"
again = t.made(seed=9)
t.checkpoints.restore(t.checkpoints.last(folder), *again)
t.assert_equal(t.everything(*again), good)
"""


@pytest.mark.slow
def test_disk_that_fills_up_at_any_byte(tmp_path):
    """The system's own limit on file sizes makes real writes fail, in a process of its own."""
    pytest.importorskip("resource")
    script = LIMITED.format(tests=str(pathlib.Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout


def test_state_is_json(tmp_path):
    save(tmp_path, 7)
    state = json.loads((tmp_path / "last" / "state.json").read_text())
    assert state["step"] == 7 and set(state["sha256"]) == {"model.keras", "optimizer.npz"}


def test_clock_does_not_decide_which_is_the_last(tmp_path):
    """A clock that was set back, or a copy of the folder, gives files any times."""
    for step, time in ((1, 2_000_000_000), (2, 1_000_000_000), (3, 1)):
        save(tmp_path, step)
        for path in (tmp_path / f"step-{step:08d}", *(tmp_path / f"step-{step:08d}").iterdir()):
            os.utime(path, (time, time))
    assert checkpoints.last(tmp_path).name == "step-00000003"


def with_folders(source, target):
    """cp -rL, rsync -L, zip: what a link leads to is copied in its place."""
    shutil.copytree(source, target, symlinks=False)


def with_links(source, target):
    """cp -r, rsync -a, tar."""
    shutil.copytree(source, target, symlinks=True)


def without_links(source, target):
    """rsync -r, and what leaves links out."""
    with_links(source, target)
    for name in ("best", "last"):
        (target / name).unlink()


def with_texts(source, target):
    """Zip files with links in them that are unpacked without."""
    without_links(source, target)
    for name in ("best", "last"):
        (target / name).write_text(os.readlink(source / name))


def zipped(source, target):
    shutil.make_archive(str(target), "zip", source)
    shutil.unpack_archive(f"{target}.zip", target)


def with_the_named_alone(source, target):
    """Only the folders that `best` and `last` lead to, under these names."""
    with_folders(source, target)
    for path in target.glob("step-*"):
        shutil.rmtree(path)


COPIES = [with_folders, with_links, without_links, with_texts, zipped, with_the_named_alone]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints of four steps, of which the second is the best."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    for step, score in ((1, 0.25), (2, 0.5), (3, 0.5), (4, 0.5)):
        checkpoints.save(folder, *shared_pair(), {"step": step, "best": score}, best=step <= 2)
    return folder


@pytest.mark.parametrize("copy", COPIES)
def test_a_copied_run_goes_on(saved, tmp_path, copy):
    folder = tmp_path / "copy"
    copy(saved, folder)
    state = json.loads((checkpoints.model_file(folder).parent / "state.json").read_text())
    assert state["step"] == 2  # before anything is mended, as in a copy that may only be read
    checkpoints.mend_links(folder)
    assert checkpoints.last(folder).name == "step-00000004"
    save(folder, 5)
    assert {path.name for path in folder.iterdir()} == {
        *("best", "last", "step-00000002", "step-00000004", "step-00000005")
    }
    assert os.readlink(folder / "best") == "step-00000002" and os.readlink(folder / "last") == "step-00000005"


def test_without_a_score_there_is_no_best_to_mend(tmp_path):
    checkpoints.save(tmp_path / "a", *shared_pair(), {"step": 3, "best": None})
    without = tmp_path / "b"
    shutil.copytree(tmp_path / "a", without, symlinks=False)
    checkpoints.mend_links(without)
    assert not os.path.lexists(without / "best") and os.readlink(without / "last") == "step-00000003"
    assert checkpoints.model_file(without) == without / "last" / "model.keras"


def flipped(path, place):
    data = bytearray(path.read_bytes())
    data[place * (len(data) - 1) // 7] ^= 0x10
    path.write_bytes(data)


# The last byte, of the archive's empty comment, changes nothing that a lone file holds.
@pytest.mark.parametrize(
    ("alone", "place"), [(alone, place) for alone in (False, True) for place in range(7 + (not alone))]
)
def test_a_flipped_byte_is_one_line(saved, tmp_path, alone, place):
    """Anywhere in a model's file, in a checkpoint or as a file of its own."""
    shutil.copytree(saved / "best", tmp_path / "best")
    if alone:
        (tmp_path / "best" / "state.json").unlink()
    file = tmp_path / "best" / "model.keras"
    flipped(file, place)
    with pytest.raises(UserError, match=rf"^{file}: (damaged|cannot be loaded)") as caught:
        trained_run.load_model(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 3}', '{"sha256": []}'])
def test_a_broken_state_is_one_line(saved, tmp_path, text):
    shutil.copytree(saved / "best", tmp_path / "best")
    (tmp_path / "best" / "state.json").write_text(text)
    with pytest.raises(UserError, match=r"state\.json: damaged"):
        trained_run.load_model(tmp_path / "best" / "model.keras")


def test_a_state_without_checksums_passes(saved, tmp_path):
    shutil.copytree(saved / "best", tmp_path / "best")
    (tmp_path / "best" / "state.json").write_text('{"step": 2, "best": null}')
    assert trained_run.load_model(tmp_path / "best" / "model.keras").num_classes == 3


def test_a_link_that_moves_while_it_is_read_is_followed_again(saved, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    with_links(saved, folder)
    check, moved = checkpoints.check, []

    def removed_meanwhile(path):
        if not moved:
            moved.append(path)
            checkpoints._point(folder / "best", "step-00000004")
            shutil.rmtree(folder / "step-00000002")
        check(path)

    monkeypatch.setattr(checkpoints, "check", removed_meanwhile)
    assert trained_run.load_model(folder / "best" / "model.keras").num_classes == 3 and moved
