"""--on_bad_record=skip: bad records are found before anything is read, listed, counted and left out.

Leaving them out of the split, and not out of the stream, keeps the stream a function of the seed and of the number
of the record that it starts at. The list goes to bad_records.json in the run folder and is used again from there, so
a run that goes on does so with the same records, and nothing is looked through twice.
"""

import dataclasses
import json
import os
import pathlib

from e2wsol import files
from e2wsol.data import dataset
from e2wsol.errors import UserError

FILE_NAME = "bad_records.json"
_NAMED = 3


def load(folder, on_bad_record):
    """`dataset.load`, which lets damaged shards pass where bad records are skipped."""
    return dataset.load(folder, damaged=on_bad_record == "skip")


def leave_out(info, on_bad_record, splits, run_dir):
    """The data set without its bad records.

    Args:
      info: `dataset.DatasetInfo` from `load`.
      on_bad_record: "error" changes nothing; "skip" looks for them, or takes the list that `run_dir` holds.
      splits: names of those that will be read; unknown ones are passed over.
      run_dir: folder whose bad_records.json is used where there is one.

    Returns:
      `dataset.DatasetInfo`. What was left out has been printed.

    Raises:
      UserError: no record of a split that has any can be used, or bad_records.json is not one.
    """
    if on_bad_record == "error":
        return info
    from e2wsol.data import broken_records  # on TensorFlow

    known = _read(pathlib.Path(run_dir) / FILE_NAME).get(_key(info), {})
    checked = dict(info.splits)
    for name in dict.fromkeys(name for name in splits if name in checked):
        split = checked[name]
        bad = _from_json(known[name], split) if name in known else broken_records.bad_records(info, name)
        checked[name] = split.without(bad)
        _report(info, split, checked[name])
    return dataclasses.replace(info, splits=checked)


def remember(info, run_dir):
    """Writes what `leave_out` found to bad_records.json in `run_dir`, beside what is there; nothing without skip."""
    found = {name: _to_json(split) for name, split in info.splits.items() if split.left_out is not None}
    if not found:
        return
    path = pathlib.Path(run_dir) / FILE_NAME
    document, key = _read(path), _key(info)
    changed = document | {key: document.get(key, {}) | found}
    if changed != document:
        files.write_text(path, json.dumps(changed, indent=1) + "\n")


def counts(info, splits):
    """{split: number of records left out}, of the splits that have any."""
    return {name: info.split(name).skipped for name in dict.fromkeys(splits) if name and info.split(name).skipped}


def _report(info, before, split):
    if not split.skipped:
        return
    if not split.count:
        from e2wsol.data import broken_records

        first = broken_records.in_words(split.left_out[0])
        raise UserError(f"{info.folder}: no record of split '{split.name}' can be read; {first}")
    names = [bad.picture or f"{os.path.basename(bad.file)}:{bad.record}" for bad in split.left_out]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    print(
        f"split {split.name}: {split.skipped} of {sum(before.shard_counts)} records cannot be read and are left out: "
        f"{', '.join(names[:_NAMED])}{more}",
        flush=True,
    )


def _key(info):
    """What tells records from others: the checksum of their dataset.json."""
    return dataset.sha256(pathlib.Path(info.folder) / dataset.FILE_NAME)


def _to_json(split):
    fields = [dataclasses.asdict(bad) for bad in split.left_out]
    return [entry | {"file": os.path.basename(entry["file"])} for entry in fields]


def _from_json(entries, split):
    """The BadRecords of a list in bad_records.json, their files those of `split`."""
    paths = {os.path.basename(path): path for path in split.files}
    try:
        return [dataset.BadRecord(**entry | {"file": paths[entry["file"]]}) for entry in entries]
    except (TypeError, KeyError) as error:
        raise UserError(f"{FILE_NAME}: not a list of the bad records of split {split.name} ({error})") from None


def _read(path):
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {key: dict(splits) for key, splits in document.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a list of bad records ({error}); delete it") from None
