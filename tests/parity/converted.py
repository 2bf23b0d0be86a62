"""The way of a released file: a case's weights written as their authors write them and read by e2wsol.convert."""

import collections
import contextlib
import io
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from e2wsol import config, convert, releases
from e2wsol.errors import UserError
from e2wsol.trained_run import load_model


def through_the_command(model, case, values):
    """Gives the model a case's values by way of e2wsol.convert, in every file that its authors' framework writes.

    The command takes the release's settings itself: its model must give what `model` gives, to the bit.

    Args:
      model: the case's network, float32; its own values do not matter.
      case: dict of case.json.
      values: {authors' name: array}.

    Raises:
      ValueError: the files, or the outputs of the two networks, differ.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        written = (pytorch_file,) if case["layout"] == "torch" else (npz_file, tensorflow_checkpoint)
        results = [_converted(model, case, write(values, folder)) for write in written]
    first, last = results[0], results[-1]
    if not all(np.array_equal(first[path], last[path]) for path in first):
        raise ValueError("an .npz file and a TensorFlow checkpoint of the same weights became different models")


def pytorch_file(values, folder):
    """As BAS saves it: {"epoch": ..., "state_dict": ...}, names as under DataParallel."""
    import torch

    tensors = ((f"module.{name}", torch.from_numpy(np.array(value))) for name, value in values.items())
    torch.save({"epoch": 1, "state_dict": collections.OrderedDict(tensors)}, folder / "released.pth.tar")
    return folder / "released.pth.tar"


def npz_file(values, folder):
    """As tensorpack saves it."""
    np.savez_compressed(folder / "released.npz", **values)
    return folder / "released.npz"


def tensorflow_checkpoint(values, folder):
    """As a TF1 Saver saves it; the prefix of its files."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.get_variable(name, shape=value.shape, dtype=tf.float32) for name, value in values.items()]
        holders = [v1.placeholder(tf.float32, value.shape) for value in values.values()]
        for variable, holder, value in zip(variables, holders, values.values(), strict=True):
            session.run(variable.assign(holder), {holder: value})
        return v1.train.Saver(variables).save(session, str(folder / "model"), global_step=7)


def _converted(model, case, file):
    options = config.to_mapping(model.options)
    options |= {"image_size": model.image_size, "resize_size": model.image_size + 32}
    flags = [f"--{name}={','.join(value) if isinstance(value, list) else value}" for name, value in options.items()]
    flags += [
        f"--method={model.key}",
        f"--backbone={model.backbone_options.backbone}",
        f"--dataset={case['dataset']}",
    ]
    _convert(f"--from={file}", f"--to={file}.keras", *flags)
    loaded = load_model(f"{file}.keras")
    found = {path: np.asarray(variable) for path, variable in releases.variables(loaded).items()}
    for path, variable in releases.variables(model).items():
        variable.assign(found[path])
    _compare_outputs(model, loaded)
    return found


def _convert(*flags):
    """What python -m e2wsol.convert does, in this process."""
    argv = convert.with_released_settings(["convert", *flags])
    settings, positional, _ = config.parse(argv, convert.ConvertFlags)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            status = convert.main(settings, positional)
    except UserError as error:
        raise ValueError(f"e2wsol.convert {' '.join(flags)}: {error}") from error
    if status:
        raise ValueError(f"e2wsol.convert {' '.join(flags)}: {said.getvalue()}")


def _compare_outputs(model, loaded):
    images = np.random.default_rng(0).integers(0, 256, (1, model.image_size, model.image_size, 3), np.uint8)
    ours, theirs = (network(images, training=False) for network in (model, loaded))
    differing = [name for name in ours if not np.array_equal(ours[name], theirs[name])]
    if differing or ours.keys() != theirs.keys():
        raise ValueError(f"the converted model gives other {', '.join(differing)} than the case's network")
