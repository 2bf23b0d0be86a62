"""A run folder around weights that were trained elsewhere, at step 0 of a training of ours."""

import dataclasses
import pathlib

from e2wsol.compute import ComputeOptions
from e2wsol.errors import UserError
from e2wsol.training import checkpoints, optimizers
from e2wsol.training.loop import LoopOptions, steps_per_epoch
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


def write(folder, model, info, options):
    """Writes flags, data set and a first checkpoint; training goes on from there, evaluation takes it as the best.

    Args:
      folder: the new run folder.
      model: Method with its weights.
      info: DatasetInfo.
      options: filled instances of the dataclasses of e2wsol.train.

    Returns:
      Path of the model's file.
    """
    options = [dataclasses.replace(one, run_dir=str(folder)) if hasattr(one, "run_dir") else one for one in options]
    kinds = LoopOptions, optimizers.OptimizerOptions, ComputeOptions
    loop, rule, computing = (next(one for one in options if isinstance(one, kind)) for kind in kinds)
    run = RunFolder(folder)
    run.start(info, *options)
    optimizer = optimizers.create(rule, steps_per_epoch(loop, info), optimizer_class(computing.precision))
    optimizer.build(model.trainable_variables)
    checkpoints.save(run.checkpoints, model, optimizer, {"step": 0, "best": None}, best=True)
    return run.model_file()
