"""Exports a trained localizer as a SavedModel that takes plain pictures and gives boxes.

python -m e2wsol.export --run_dir=runs/e2net_vgg_cub --output=exported

The signature `serving_default` takes `images`, uint8 RGB (B, H, W, 3) of any batch and picture size,
and returns `logits` and `probabilities` (B, C), `map` (B, S, S) in [0, 1] and `box` (B, 4) float32: x0,
y0, x1, y1 in pixels of the given pictures. Map and box are those of the most probable class. It
resizes, normalises and extracts the box inside the graph, and loads without e2wsol. A method that predicts
no class gives map and box alone.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import pathlib
import shutil

import tensorflow as tf

from e2wsol import cli, files
from e2wsol.config import option
from e2wsol.data import pipeline
from e2wsol.errors import UserError
from e2wsol.localization import protocols
from e2wsol.localization.graph import extract_boxes
from e2wsol.prediction.models import box_protocol, class_names, load_model
from e2wsol.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What is exported, and where to."""

    run_dir: str = option("", "run folder of python -m e2wsol.train")
    checkpoint: str = option("", "a .keras file; empty for the run's best checkpoint")
    output: str = option("", "folder of the SavedModel; empty for RUN_DIR/export")


def main(options, box, positional):
    """Loads the run's model and writes it as a SavedModel."""
    cli.no_arguments(positional)
    if not options.run_dir:
        raise UserError("--run_dir is missing: give a run folder of python -m e2wsol.train")
    run = RunFolder(options.run_dir)
    flags = run.flags()
    model_file = options.checkpoint or str(run.model_file())
    model = load_model(model_file)
    protocol = box_protocol(box, flags, model)
    output = pathlib.Path(options.output or run.path / "export")
    record = {
        "method": flags["method"],
        "checkpoint": model_file,
        "protocol": protocol.name,
        "threshold": protocol.default_threshold,
        "image_size": model.image_size,
        "classes": class_names(model, run.classes()),
    }
    write(model, protocol, output, record)
    print(f"wrote {output}")


def write(model, protocol, output, record):
    """Writes the SavedModel with `record` as e2wsol.json beside it, whole or not at all."""
    output = pathlib.Path(output)
    if output.exists() and not (output / "saved_model.pb").exists() and any(output.iterdir()):
        raise UserError(f"--output={output}: holds other files and no SavedModel; give an empty or new folder")
    temporary = output.with_name(f".tmp-{output.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    module = Localizer(model, protocol)
    try:
        tf.saved_model.save(module, str(temporary), signatures={"serving_default": module.predict})
        files.write_text(temporary / "e2wsol.json", json.dumps(record, indent=1) + "\n")
        shutil.rmtree(output, ignore_errors=True)
        temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class Localizer(tf.Module):
    """A method and its box extraction as one graph.

    Args:
      model: Method.
      protocol: BoxProtocol; its default threshold is built in.
    """

    def __init__(self, model, protocol):
        super().__init__()
        self.model, self.protocol = model, protocol

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")])
    def predict(self, images):
        """uint8 RGB (B, H, W, 3) -> dict of logits, probabilities (of a classifier), map and box (in pixels)."""
        size = self.model.image_size
        logits, maps = self.model.localize(pipeline.whole_view(images, size))
        threshold = self.protocol.default_threshold
        score_maps, boxes = extract_boxes(maps, size=size, threshold=threshold, protocol=self.protocol)
        height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float64))
        sides = tf.stack([width, height, width, height])
        boxes = tf.clip_by_value(tf.cast(boxes, tf.float64) * sides / size, 0.0, sides)
        classes = {} if logits is None else {"logits": logits, "probabilities": tf.nn.softmax(logits)}
        return {**classes, "map": tf.cast(score_maps, tf.float32), "box": tf.cast(boxes, tf.float32)}


if __name__ == "__main__":
    cli.run(main, ExportOptions, protocols.BoxOptions, description=__doc__)
