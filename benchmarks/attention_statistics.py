"""What attention layers inside trained backbones (MAE, ADL) do to the features.

python benchmarks/attention_statistics.py RUN RUN ...

A line for every such layer of every run, over the first images of split val. MAE: the share of the places that are
erased, the share of the values that the transform replaces, and the mean of the output over that of the input. ADL: the
share of the places that a drop takes.
"""

import e2wsol.quiet_tensorflow  # isort: skip

import json
import pathlib
import sys

import keras
import numpy as np

import e2wsol.methods  # noqa: F401  # registers what model files are made of
from e2wsol.data import dataset, pipeline
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.layers import AttentionDropout, MaxoutAttentionExcitation

IMAGES = 40


def main(runs):
    """Prints a line for every layer."""
    for run in map(pathlib.Path, runs):
        backbone = keras.saving.load_model(run / "checkpoints" / "last" / "model.keras").backbone
        attention = [
            layer for layer in backbone.layers if isinstance(layer, (AttentionDropout, MaxoutAttentionExcitation))
        ]
        inputs = keras.Model(backbone.inputs, {layer.name: layer.input for layer in attention})(val_images(run))
        for layer in attention:
            print(f"{run.name:24} {layer.name:16}", description(layer, inputs[layer.name]))


def val_images(run):
    """The first images of split val in the view of the run's network: uint8 (B, S, S, 3)."""
    flags = json.loads((run / "flags.json").read_text(encoding="utf-8"))["flags"]
    view = PipelineOptions(
        image_size=flags["image_size"],
        resize_size=flags["resize_size"],
        resize_filter=flags.get("resize_filter", "bilinear"),
    )
    batches = pipeline.eval_dataset(dataset.load(flags["data_dir"]), view, split="val", batch=IMAGES)
    return next(iter(batches))["image"]


def description(layer, features):
    """What the layer does to its input, in words."""
    if isinstance(layer, AttentionDropout):
        attention = np.mean(features, axis=-1)
        dropped = attention >= layer.threshold * attention.max(axis=(1, 2), keepdims=True)
        return f"a drop takes {dropped.mean():.1%} of the places"
    erased = np.asarray(layer.attention(features)) >= layer.threshold
    output = np.asarray(layer(features))
    return (
        f"erases {erased.mean():.1%} of the places, replaces {np.mean(output > features):.1%} of the values, "
        f"mean times {output.mean() / np.mean(features):.2f}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
