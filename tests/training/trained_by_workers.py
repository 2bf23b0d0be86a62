"""One of several processes, or one alone, that trains three tiny networks in turn; see test_workers.py.

python trained_by_workers.py RECORDS FOLDER
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import os
import pathlib
import sys

import numpy as np
from made_loops import computing, made_loop, weights

from e2wsol.backbones import BackboneOptions
from e2wsol.methods.bas import BASOptions
from e2wsol.training.callbacks import MetricsFile

# In float32 one rounding that turns a ReLU, a pooling or a comparison over ends in other weights.
PRECISION = "float64"
# Of BAS both halves: with and without the maps that its first epochs leave alone.
METHODS = {"cam": (), "e2net": (), "bas": (BASOptions(warmup_epochs=1),)}


def main(records, folder):
    """Writes METHOD-INDEX.npz, this worker's weights at the end; the chief METHOD-start.npz and METHOD.jsonl too."""
    several = "TF_CONFIG" in os.environ
    for method, options in METHODS.items():
        loop = made_loop(
            records,
            folder / f"{method}-checkpoints",
            method=method,
            method_options=options,
            backbone=BackboneOptions(backbone="vgg16", backbone_width=0.1),
            strategy="multi_worker_mirrored" if several else "none",
            epochs=2,
            steps_per_epoch=25,
            batch_size=6,
            log_every=5,
            validate_every=2,
            rate=0.005 if method == "bas" else 0.02,  # at more its map shuts
            precision=PRECISION,
        )
        if loop.chief:
            loop.callbacks.append(MetricsFile(folder / f"{method}.jsonl"))
            np.savez(folder / f"{method}-start.npz", **dict(weights(loop)))
        with computing(PRECISION):
            loop.run()
        np.savez(folder / f"{method}-{loop.workers.index}.npz", **dict(weights(loop)))


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
