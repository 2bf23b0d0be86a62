"""What readers do with files that are damaged, that claim more than they have, or that would run code."""

import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import time
import zipfile

import keras
import numpy as np
import pytest

from e2wsol import files, model_files, reading
from e2wsol.errors import ArgumentError, UserError
from e2wsol.methods import create

ROOT = pathlib.Path(__file__).parents[1]


class Pickled:
    """An object that makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def npy(shape=(2, 3), dtype="<f4", data=bytes(24), fortran=False):
    """Bytes of a .npy file with a header that may not be true."""
    header = repr({"descr": dtype, "fortran_order": fortran, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


DAMAGED_NPY = {
    "empty": b"",
    "text": b"no array",
    "zip": b"PK\x03\x04 cut",
    "cut in its header": npy()[:20],
    "cut in its values": npy()[:-1],
    "too long": npy() + b"\0",
    "4 TiB": npy((1 << 20, 1 << 20)),
    "beyond 64 bits": npy((1 << 40, 1 << 40)),
    "negative": npy((-2, -3)),
    "objects": npy((3,), "|O"),
    "version 9": b"\x93NUMPY\x09\0" + npy()[8:],
    "nested": b"\x93NUMPY\2\0" + struct.pack("<I", 9000) + b"[" * 9000,
    "no header": b"\x93NUMPY\1\0\4\0None",
    "odd kind": npy(dtype="<f3"),
}


@pytest.mark.parametrize("kind", DAMAGED_NPY)
def test_damaged_arrays_are_named(tmp_path, kind):
    path = tmp_path / "a.npy"
    path.write_bytes(DAMAGED_NPY[kind])
    with pytest.raises(UserError) as caught:
        reading.array(path)
    assert str(caught.value).startswith(f"{path}: cannot be read as a .npy array (") and str(caught.value).isprintable()


def zipped(members, method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


def patched(data, old, new):
    assert old in data
    return data.replace(old, new)


SOUND = zipped({"a.npy": npy()})
DAMAGED_NPZ = {
    **{kind: zipped({"a.npy": data}) for kind, data in DAMAGED_NPY.items()},
    "no zip": npy(),
    "a flipped byte": patched(SOUND, bytes(24), bytes(23) + b"\1"),
    "encrypted": SOUND[:6] + b"\1" + SOUND[7:].replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
    "method 99": SOUND.replace(b"PK\1\2\x14\3\x14\0\0\0\0\0", b"PK\1\2\x14\3\x14\0\0\0\x63\0"),
    "a bomb": zipped({"a.npy": npy((2 << 30,), "|u1", b"") + bytes(2 << 27)}, zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("kind", DAMAGED_NPZ)
def test_damaged_archives_are_named(tmp_path, kind):
    path = tmp_path / "a.npz"
    path.write_bytes(DAMAGED_NPZ[kind])
    with pytest.raises(ArgumentError) as caught:
        reading.arrays(path, argument="weights")
    assert (
        str(caught.value).startswith(f"weights={path}: not a readable .npz file (") and str(caught.value).isprintable()
    )


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["f8", ">f4", "i2", "?", "<U3"])
def test_arrays_come_as_they_were(tmp_path, dtype, order):
    value = np.asarray(np.arange(6).reshape(2, 3).astype(dtype), order=order)
    np.save(tmp_path / "a.npy", value)
    np.savez_compressed(tmp_path / "a.npz", a=value, b=value[0])
    found = reading.arrays(tmp_path / "a.npz")
    assert list(found) == ["a", "b"]
    for each in (reading.array(tmp_path / "a.npy"), found["a"]):
        assert each.dtype == value.dtype
        np.testing.assert_array_equal(each, value)
    np.testing.assert_array_equal(found["b"], value[0])


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Pickled(tmp_path / "marker")], object))
    with pytest.raises(UserError, match="holds pickled objects, which are not opened"):
        reading.array(tmp_path / "a.npy")
    assert not (tmp_path / "marker").exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert (tmp_path / "marker").exists(), "the attack is none"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyError("flags"), "f.json: bad (no 'flags')"),
        (RecursionError("maximum depth"), "f.json: bad (maximum depth)"),
        (MemoryError(), "f.json: bad (MemoryError)"),
        (IsADirectoryError(21, "Is a directory", "f.json"), "f.json: bad (Is a directory)"),
        (ValueError("two\nlines \x1b[2J"), "f.json: bad (two lines \\x1b[2J)"),
        (ZeroDivisionError("of a library"), "f.json: bad (of a library)"),
    ],
)
def test_whatever_a_reader_raises_names_the_file(error, expected):
    with pytest.raises(UserError) as caught, reading.guarded("f.json", "bad"):
        raise error
    assert str(caught.value) == expected


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge", "link to itself", "long name"])
@pytest.mark.parametrize("read", [files.read_text, reading.array, reading.arrays], ids=lambda read: read.__name__)
def test_what_is_no_file_is_not_waited_for(tmp_path, kind, read):
    path = tmp_path / ("x" * 300 if kind == "long name" else "a")
    make = {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "huge": lambda: (path.touch(), os.truncate(path, 200 << 30)),
        "link to itself": lambda: path.symlink_to(path.name),
        "long name": lambda: None,
    }
    make[kind]()
    started = time.monotonic()
    with pytest.raises((UserError, OSError)) as caught:
        read(path)
    assert str(path) in str(caught.value) and time.monotonic() - started < 5


def test_a_pipe_of_the_shell_is_read():
    code = "from e2wsol import files; print(files.read_text('/dev/stdin'))"
    done = subprocess.run([sys.executable, "-c", code], input=b"a line\r\n", capture_output=True, cwd=ROOT)
    assert done.stdout == b"a line\n\n"


@pytest.mark.parametrize("length", [200, 241, 245, 255])
def test_names_as_long_as_a_file_system_takes(tmp_path, length):
    for suffix in (".keras", ""):
        name = "é" * ((length - len(suffix)) // 2) + suffix
        files.write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
    with files.replacing(tmp_path / ("x" * (length - 6) + ".keras")) as temporary:
        assert temporary.suffix == ".keras" and len(temporary.name) <= 255
        temporary.touch()
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.fixture(scope="module")
def tiny():
    return create("cam", num_classes=3, image_size=32, backbone="vgg16", backbone_width=0.02)


PICTURE = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("clock", [0.0, 1.0e8, 1.7e9, 5.0e9])
def test_models_are_written_whatever_the_clock_says(tiny, tmp_path, monkeypatch, clock):
    """Before 1980 and after 2107 a zip file has no date."""
    monkeypatch.setattr(time, "time", lambda: clock)
    if not 3.2e8 < clock < 4.3e9:
        with pytest.raises((ValueError, struct.error)):
            tiny.save(tmp_path / "keras.keras")
    model_files.save(tiny, tmp_path / "a.keras")
    assert [path.name for path in tmp_path.iterdir() if path.name != "keras.keras"] == ["a.keras"]
    loaded = model_files.load(tmp_path / "a.keras", "bad")
    for one, other in zip(tiny.localize(PICTURE), loaded.localize(PICTURE)):
        np.testing.assert_array_equal(one, other)


def test_models_are_the_files_that_keras_writes(tiny, tmp_path):
    tiny.save(tmp_path / "keras.keras")
    model_files.save(tiny, tmp_path / "ours.keras")
    theirs, ours = (zipfile.ZipFile(tmp_path / f"{name}.keras") for name in ("keras", "ours"))
    with theirs, ours:
        assert sorted(ours.namelist()) == sorted(theirs.namelist())
        assert json.loads(ours.read("config.json")) == json.loads(theirs.read("config.json"))
    for each, loaded in zip(tiny.weights, keras.saving.load_model(tmp_path / "ours.keras", compile=False).weights):
        np.testing.assert_array_equal(each, loaded)


def repacked(path, change):
    """The bytes of a .keras file after change(its members)."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    return zipped(members)


DAMAGED_KERAS = {
    "no config": lambda members: members.pop("config.json"),
    "no weights": lambda members: members.pop("model.weights.h5"),
    "config cut": lambda members: members.update({"config.json": members["config.json"][:100]}),
    "config nested": lambda members: members.update({"config.json": b"[" * 100_000}),
    "config a list": lambda members: members.update({"config.json": b"[]"}),
    "config a number": lambda members: members.update({"config.json": b"7"}),
    "another class": lambda members: members.update(
        {"config.json": members["config.json"].replace(b"e2wsol>CAM", b"e2wsol>NONE").replace(b'"CAM"', b'"NONE"')}
    ),
    "weights cut": lambda members: members.update({"model.weights.h5": members["model.weights.h5"][:900]}),
    "weights text": lambda members: members.update({"model.weights.h5": b"text"}),
    "a size": lambda members: members.update(
        {"config.json": members["config.json"].replace(b'"image_size": 32', b'"image_size": -1')}
    ),
}


@pytest.mark.parametrize("kind", DAMAGED_KERAS)
def test_damaged_models_are_named(tiny, tmp_path, kind):
    path = tmp_path / "a.keras"
    model_files.save(tiny, path)
    path.write_bytes(repacked(path, DAMAGED_KERAS[kind]))
    with pytest.raises(UserError) as caught:
        model_files.load(path, "cannot be loaded")
    assert str(caught.value).startswith(f"{path}: cannot be loaded") and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_models_that_hold_code_are_refused(tmp_path, suffix):
    marker = tmp_path / "marker"
    name = str(marker)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: (open(name, "w").close(), x)[1])])
    path = tmp_path / f"a{suffix}"
    model.save(path)
    assert marker.exists(), "the attack is none"
    marker.unlink()
    with pytest.raises(UserError, match=r"^.*a\.\w+: cannot be loaded \("):
        model_files.load(path, "cannot be loaded")
    assert not marker.exists()


def test_saved_models_inside_of_models_are_refused(tmp_path):
    layer = {
        "module": "keras.layers",
        "class_name": "TFSMLayer",
        "config": {"filepath": str(tmp_path / "program"), "call_endpoint": "serve", "name": "t"},
        "registered_name": None,
    }
    path = tmp_path / "a.keras"
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model_files.save(model, path)

    def change(members):
        document = json.loads(members["config.json"])
        document["config"]["layers"][1] = layer
        members["config.json"] = json.dumps(document).encode()

    path.write_bytes(repacked(path, change))
    with pytest.raises(UserError, match=r"safe_mode|unsafe|TFSMLayer") as caught:
        model_files.load(path, "cannot be loaded")
    assert "No such file" not in str(caught.value), "refused before the program is looked for"


OLD = """
import importlib, pathlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        assert type(error).__name__ == "UserError" and "keras 3.13.2 is installed" in str(error), (name, error)
    else:
        raise AssertionError(name)
    assert "keras" not in sys.modules, name
"""


def importing_keras():
    """The modules of the library that import Keras at their top."""
    for path in (ROOT / "e2wsol").rglob("*.py"):
        lines = path.read_text().splitlines()
        if any(line.startswith(("import keras", "from keras")) for line in lines):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.fixture
def old_keras(tmp_path):
    """A folder that makes an older Keras seem to be installed."""
    folder = tmp_path / "keras-3.13.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 3.13.2\n")
    return tmp_path


def test_an_old_keras_is_refused_before_it_is_imported(old_keras):
    names = sorted(importing_keras())
    assert len(names) > 30
    done = subprocess.run([sys.executable, "-c", OLD, old_keras, *names], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("command", ["predict", "train", "convert", "study"])
def test_commands_refuse_an_old_keras_in_one_line(old_keras, command):
    """They name no file that is not there: nothing was opened."""
    environment = os.environ | {"PYTHONPATH": f"{old_keras}:{ROOT}"}
    arguments = [sys.executable, "-m", f"e2wsol.{command}", "--flagfile=nowhere"]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: keras 3.13.2 is installed: ") and "pip install 'keras>=3.14'" in done.stderr
