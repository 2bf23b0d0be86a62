"""Exports a trained localizer as a SavedModel that takes plain pictures and gives boxes.

python -m e2wsol.export --run_dir=runs/e2net_vgg_cub --output=exported

The signature `serving_default` takes `images`, uint8 RGB (B, H, W, 3) of any batch and picture size,
and returns `logits` and `probabilities` (B, C), `map` (B, S, S) in [0, 1] and `box` (B, 4) float32: x0,
y0, x1, y1 in pixels of the given pictures. Map and box are those of the most probable class. It
resizes, normalises and extracts the box inside the graph, and loads without e2wsol. A method that predicts
no class gives map and box alone.

The signature `image_bytes` takes the bytes of JPEG and PNG files instead, a string (B,), decodes them as predict does
and turns them upright; it also returns their `image_size` (B, 2), width and height.
"""

import e2wsol.on_tensorflow  # noqa: F401  # isort: skip

import dataclasses

from e2wsol import cli, terminal
from e2wsol.config import option
from e2wsol.errors import UserError
from e2wsol.localization.protocols import BoxOptions
from e2wsol.trained_run import TrainedRun


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What is exported, and where to."""

    run_dir: str = option("", "run folder of python -m e2wsol.train")
    checkpoint: str = option("", "a .keras file; empty for the run's best checkpoint")
    output: str = option("", "folder of the SavedModel; empty for RUN_DIR/export")
    replace: bool = option(False, "remove the earlier export in the folder first")


@dataclasses.dataclass(frozen=True)
class ExportFlags:
    """All flags of the command."""

    export: ExportOptions
    box: BoxOptions


def main(flags: ExportFlags, positional: list[str]) -> None:
    """Loads the run's model and writes it as a SavedModel."""
    cli.no_arguments(positional)
    options = flags.export
    if not options.run_dir:
        raise UserError("--run_dir is missing: give a run folder of python -m e2wsol.train")
    run = TrainedRun.in_folder(options.run_dir, checkpoint=options.checkpoint)
    box = flags.box
    output = run.export(options.output, protocol=box.protocol, threshold=box.threshold, replace=options.replace)
    protocol, choice = run.chosen_protocol(box)
    terminal.say(f"wrote {output}: threshold {choice.value:g} ({choice.source}), protocol {protocol.name}")


if __name__ == "__main__":
    cli.run(main, ExportFlags, description=__doc__)
