"""A run folder around weights that were trained elsewhere, at step 0 of a training of ours."""

import dataclasses
import pathlib

from e2wsol.errors import UserError
from e2wsol.training import checkpoints, optimizers
from e2wsol.training.loop import steps_per_epoch
from e2wsol.training.loss_scaling import optimizer_class
from e2wsol.training.run_folder import RunFolder


def check(folder, info):
    """Raises a UserError where no run folder can be made: no data set, or there is something in it already."""
    if info is None:
        raise UserError(
            f"--to={folder}: a run folder needs the names of its classes: give --data_dir, or --to=NAME.keras"
        )
    path = pathlib.Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"--to={folder}: is there already; give the name of a new folder")


def write(folder, model, info, flags):
    """Writes flags, data set and a first checkpoint; training goes on from there, evaluation takes it as the best.

    Args:
      folder: the new run folder.
      model: Method with its weights.
      info: Dataset.
      flags: e2wsol.train's TrainFlags.

    Returns:
      Path of the model's file.
    """
    flags = dataclasses.replace(flags, run=dataclasses.replace(flags.run, run_dir=str(folder)))
    run = RunFolder(folder)
    run.start(info, flags)
    steps = steps_per_epoch(flags.loop, info)
    optimizer = optimizers.create(flags.optimizer, steps, optimizer_class(flags.compute.precision))
    optimizer.build(model.trainable_variables)
    checkpoints.save(run.checkpoints, model, optimizer, {"step": 0, "best": None}, best=True)
    return run.model_file()
