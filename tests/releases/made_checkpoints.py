"""Small checkpoints of every kind, whole and made up, for the tests of reading them."""

import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from e2wsol.errors import UserError
from e2wsol.releases.reading import open_checkpoint

# Has torch.save write its container from before 1.6.
OLD = {"_use_new_zipfile_serialization": False}
TENSORS = {
    "conv/W": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "half": np.array([1.5, -2], np.float16),
    "step": np.array(7, np.int64),
}
# What torch.save writes first in its old container: a number, a version, the sizes of C types.
OLD_HEAD = b"".join(
    pickle.dumps(value, 2)
    for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
)


class Call:
    """Pickles as a call of `function`, which whoever unpickles it makes."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def zip_container(path, pickled, compression=zipfile.ZIP_STORED, others=()):
    """A file like torch.save's around the pickle `pickled`, made without PyTorch."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", b"3\n")
        for name in others:
            archive.writestr(name, b"")
    return path


def old_container(path, pickled):
    path.write_bytes(OLD_HEAD + pickled + pickle.dumps([], 2))
    return path


def plain_pickle(path, pickled):
    path.write_bytes(pickled)
    return path


def tensorflow_checkpoint(prefix, version=2, extra=()):
    """Saves TENSORS (and variables of {name: value} in `extra`) as TF1's Saver does; returns the prefix."""
    import tensorflow as tf

    v1 = tf.compat.v1
    prefix.parent.mkdir(parents=True, exist_ok=True)
    tensors = {**TENSORS, **dict(extra)}
    if version == 1:
        del tensors["half"]  # V1 cannot
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.get_variable(name, initializer=value) for name, value in tensors.items()]
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(variables, write_version=getattr(v1.train.SaverDef, f"V{version}"))
        saver.save(session, str(prefix), write_meta_graph=True)
    return prefix


def npz_bytes(tensors=TENSORS):
    stream = io.BytesIO()
    np.savez_compressed(stream, **tensors)
    return stream.getvalue()


def tar_of(path, members, mode="w"):
    """A tar archive of {name: bytes, or a TarInfo for anything but a file}."""
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if content is info:
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def zip_of(path, members):
    """A zip archive of {name or ZipInfo: bytes}."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy_member(shape, values):
    """A float32 .npy file of `values` whose header says `shape`."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + values


def state_dict(torch):
    """A small network's; PyTorch's module comes in as it is optional."""
    return {"conv.weight": torch.arange(6.0).reshape(2, 3), "bn.num_batches_tracked": torch.tensor(2**40 + 1)}


def refusal(path):
    """The one line that `path` is refused with, without its name in front."""
    with pytest.raises(UserError) as error, open_checkpoint(path) as source:
        for name in source.shapes:
            source.read(name)
    assert str(error.value).startswith(str(path)) and str(error.value).isprintable()
    return str(error.value).removeprefix(str(path))
