"""A study's cells: what is run for a row and a seed, as commands, and which cells have to come before."""

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Sequence

from e2wsol import config, files, reading
from e2wsol.errors import ArgumentError, UserError
from e2wsol.studies.suites import ROWS, StudyRow, Suite
from e2wsol.training.run_folder import RunFolder

RECORDS = "records"
SAMPLES = 36  # a third of them random: the same pictures in every cell


@dataclasses.dataclass(frozen=True)
class Cell:
    """Commands that belong together.

    Attributes:
      name: unique in the study.
      commands: tuples of a module of this project and its flags, to run in their order.
      needs: names of cells that have to be finished before.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a study runs, and where.

    Attributes:
      suite: Suite.
      rows: StudyRows of the table, in its order.
      seeds: of every row.
      folder: the study's.
      data_dir: folder of records.
      input: folder or archive of pictures to make them from; empty where they are there.
      flags_dir: folder of the suites' flagfiles, with methods/ in it.
      backbone_weights: start weights, as e2wsol.train takes them.
      middle_layer, last_layer: end points that other localizers take.
      more: further flags of every training.
    """

    suite: Suite
    rows: tuple
    seeds: tuple[int, ...]
    folder: pathlib.Path
    data_dir: pathlib.Path
    input: str
    flags_dir: pathlib.Path
    backbone_weights: str
    middle_layer: str
    last_layer: str
    more: tuple[str, ...]

    def run_dir(self, row: str, seed: int) -> pathlib.Path:
        """Run folder of a trained row."""
        return self.folder / "runs" / trained_name(row, seed)

    def result_dir(self, row: StudyRow, seed: int) -> pathlib.Path:
        """Folder of result.json, samples.npz and outcomes.npz of a StudyRow."""
        if not row.of:
            return self.run_dir(row.name, seed)
        return self.run_dir(row.of, seed) / "localizers" / row.localizer / self.layer(row)

    def layer(self, row: StudyRow) -> str:
        """The end point that a StudyRow with another's network takes."""
        return self.middle_layer if row.middle else self.last_layer

    def cells(self) -> list[Cell]:
        """All Cells, each behind those that it needs, seed by seed: a study that was stopped has whole seeds."""
        records = self._records_cells()
        cells = list(records)
        for seed in self.seeds:
            cells += [self._trained(row, seed, records) for row in self.rows if not row.of]
            cells += self._localizers(seed)
        return cells

    def cell_of(self, row: StudyRow, seed: int) -> str:
        """Name of the cell that makes a StudyRow's result."""
        return f"{row.of}_localizers-seed{seed}" if row.of else trained_name(row.name, seed)

    def _records_cells(self):
        if not (self.input or not self.suite.needs_input):
            return []
        source = [f"--input={self.input}"] if self.input else []
        return [Cell(RECORDS, (("tfrecords.build", *self.suite.build, *source, f"--output={self.data_dir}"),))]

    def _trained(self, row, seed, records):
        run, data, commands, needs = self.run_dir(row.name, seed), self.data_dir, [], [cell.name for cell in records]
        evaluate = ["e2wsol.evaluate", f"--run_dir={run}", f"--samples={SAMPLES}"]
        if row.masks_from:
            data = self.folder / "masks" / trained_name(row.masks_from, seed)
            source = self.run_dir(row.masks_from, seed)
            flags = (f"--run_dir={source}", f"--data_dir={self.data_dir}", f"--output={data}")
            commands.append(("e2wsol.pseudo_masks", *flags))
            needs.append(trained_name(row.masks_from, seed))
        if row.classes_from:
            source = self.run_dir(row.classes_from, seed)
            commands.append(("e2wsol.classify", f"--run_dir={source}"))
            evaluate.append(f"--predictions={source / 'test.jsonl'}")
            needs.append(trained_name(row.classes_from, seed))
        commands += [self._training(row, seed, data, run), tuple(evaluate)]
        return Cell(trained_name(row.name, seed), tuple(commands), tuple(needs))

    def _training(self, row, seed, data, run):
        flagfiles = (f"{self.suite.name}.cfg", f"methods/{row.name}.cfg")
        return (
            "e2wsol.train",
            *(f"--flagfile={self.flags_dir / name}" for name in flagfiles),
            f"--data_dir={data}",
            f"--run_dir={run}",
            f"--backbone_weights={self.backbone_weights}",
            f"--seed={seed}",
            *self.more,
        )

    def _localizers(self, seed):
        """A cell for each trained network with other rows' localizers; it evaluates all, whichever the table has."""
        for of in dict.fromkeys(row.of for row in self.rows if row.of):
            rows = [row for row in ROWS if row.of == of]
            localizers = ",".join(dict.fromkeys(row.localizer for row in rows))
            layers = ",".join(dict.fromkeys(self.layer(row) for row in rows))
            flags = (f"--run_dir={self.run_dir(of, seed)}", f"--localizer={localizers}", f"--layer={layers}")
            command = ("e2wsol.evaluate", *flags, f"--samples={SAMPLES}")
            yield Cell(self.cell_of(rows[0], seed), (command,), (trained_name(of, seed),))

    def done_file(self, cell: str) -> pathlib.Path:
        """The file that says that a cell is finished: its commands and the seconds that they took."""
        return self.folder / "cells" / f"{cell}.json"

    def log_file(self, cell: str) -> pathlib.Path:
        """What the cell's commands print."""
        return self.folder / "cells" / f"{cell}.log"

    def seconds(self, name: str) -> float | None:
        """The seconds that a finished cell took, None where it is not finished."""
        file = self.done_file(name)
        if not file.exists():
            return None
        with reading.guarded(file, "not the record of a finished cell", "; delete it"):
            return float(json.loads(files.read_text(file))["seconds"])

    def is_done(self, cell: Cell) -> bool:
        """Whether a Cell is finished.

        Raises:
          UserError: it was finished by other commands than it has now.
        """
        file = self.done_file(cell.name)
        if not file.exists():
            return False
        with reading.guarded(file, "not the record of a finished cell", "; delete it"):
            done = [list(command) for command in json.loads(files.read_text(file))["commands"]]
        for before, now in itertools.zip_longest(done, written_out(cell), fillvalue=()):
            if before != now:
                changed = [flag for flag in now if flag not in before] or [flag for flag in before if flag not in now]
                raise UserError(
                    f"{file}: was made by another command, the difference is {' '.join(changed or now)}; give the "
                    "flags of that study, or another output folder"
                )
        return True

    def spend(self, cell: Cell, seconds: float) -> float:
        """Adds to a cell's seconds; returns those of all its starts, but for killed ones."""
        file = self.done_file(cell.name).with_suffix(".seconds")
        with reading.guarded(file, "not a number of seconds", "; delete it"):
            seconds += float(files.read_text(file)) if file.exists() else 0
        files.write_text(file, f"{seconds:.3f}\n")
        return seconds

    def unfinished(self, cell: Cell) -> str | None:
        """What is missing of a Cell whose commands all ended well.

        Returns:
          "RUN: 4 of 9 epochs", or None.
        """
        for module, *flags in cell.commands:
            if module == "e2wsol.train":
                run = next(flag.removeprefix("--run_dir=") for flag in flags if flag.startswith("--run_dir="))
                if missing := RunFolder(run).unfinished():
                    return f"{run}: {missing}"
        return None

    def finish(self, cell: Cell, seconds: float) -> None:
        """Writes the file that says that a Cell is finished, and by which flags."""
        record = {"commands": written_out(cell), "seconds": round(seconds, 3)}
        files.write_text(self.done_file(cell.name), json.dumps(record, indent=1) + "\n")


def trained_name(row: str, seed: int) -> str:
    """What the cell and the run folder of a trained row are called; takes its name."""
    return f"{row}-seed{seed}"


def written_out(cell: Cell) -> list[list[str]]:
    """A Cell's commands as lists, with the flags of its flagfiles in their place: these may change between starts."""
    return [[module, *config.without_flagfiles(flags)] for module, *flags in cell.commands]


def choose_rows(names: Sequence[str]) -> tuple[StudyRow, ...]:
    """The StudyRows of some names with those that they need before them, in the table's order; all for no name.

    Raises:
      ArgumentError: no such row.
    """
    known = {row.name: row for row in ROWS}
    for name in names:
        if name not in known:
            raise ArgumentError("rows", names, f"no row {name}; choose among {', '.join(known)}")
    wanted, open_names = set(), list(names or known)
    while open_names:
        row = known[open_names.pop()]
        wanted.add(row.name)
        open_names += [name for name in (row.of, row.masks_from, row.classes_from) if name and name not in wanted]
    return tuple(row for row in ROWS if row.name in wanted)
