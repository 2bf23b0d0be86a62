"""Opening the folder of a trained run with the data that belongs to it."""

from e2wsol.config import from_mapping
from e2wsol.data import pipeline, skipped_records
from e2wsol.errors import UserError
from e2wsol.training.run_folder import RunFolder


def open_run(run_dir, data_dir, on_bad_record="error"):
    """A run and the records to use it on.

    Args:
      run_dir: folder of the run.
      data_dir: folder of records; empty for those of the training.
      on_bad_record: "skip" lets damaged shards pass, for `skipped_records.leave_out`.

    Returns:
      (RunFolder, mapping of the run's flags, its PipelineOptions, DatasetInfo).

    Raises:
      UserError: no run, no records, or records of other classes than the run's.
    """
    run = RunFolder(run_dir)
    flags = run.flags()
    view = from_mapping(pipeline.PipelineOptions, flags)
    info = skipped_records.load(data_dir or view.data_dir, on_bad_record)
    if list(info.classes) != run.classes():
        raise UserError(f"--data_dir={info.folder}: other classes than those of the run ({run.dataset_file})")
    return run, flags, view, info
