"""Checkpoints in the authors' own formats: how each release calls the tensors of a network, and reading and writing.

A table says for every layer of ours how theirs is called; both directions follow from it.
"""

import e2wsol.installed_keras  # noqa: F401  # isort: skip

from e2wsol.releases.catalog import (
    DATASET_CLASSES,
    RELEASES,
    namings,
    namings_of,
    released_flagfile,
    shapes,
    start_namings,
    variables,
)
from e2wsol.releases.naming import Release, TensorNaming, TensorPair, UnpairedTensor
from e2wsol.releases.tensorflow_releases import dgl_end_point, e2net_gating_position

__all__ = [
    "DATASET_CLASSES",
    "RELEASES",
    "Release",
    "TensorNaming",
    "TensorPair",
    "UnpairedTensor",
    "dgl_end_point",
    "e2net_gating_position",
    "namings",
    "namings_of",
    "released_flagfile",
    "shapes",
    "start_namings",
    "variables",
]
