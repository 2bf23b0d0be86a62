"""Reading the parity kit: its cases, its generated weights and its digests; and putting the weights into our models."""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import json
import pathlib
import zlib

import keras
import numpy as np
from report import Absent

from e2wsol import releases

# Set by check.py --converted: f(model, case, values), which fills the model by way of a released file.
through = None
SHARED_KIT = pathlib.Path(__file__).resolve().parents[3] / "shared" / "parity" / "public"


def find_cases(folder):
    """Folders that hold a case.json, at any depth under `folder`, in order of their path."""
    return sorted(path.parent for path in pathlib.Path(folder).rglob("case.json"))


def load(case_folder):
    """Returns (case: dict of case.json, arrays: dict from name to array) of one case folder."""
    case_folder = pathlib.Path(case_folder)
    case = json.loads((case_folder / "case.json").read_text(encoding="utf-8"))
    with np.load(case_folder / "arrays.npz", allow_pickle=False) as archive:
        return case, Arrays({name: archive[name] for name in archive.files})


class Arrays(dict):
    """The arrays of a case by name; one that it lacks is an `Absent`."""

    def __missing__(self, name):
        """What stands for an array that is not there."""
        return Absent(name)


def parameter(name, shape, seed, layout):
    """The kit's value of one parameter or buffer, before the case's `scale`.

    Args:
      name: the authors' own name, a state_dict key or a TF1 variable name without ":0".
      shape: shape in the authors' layout.
      seed: the case's seed.
      layout: "torch" (OIHW, out x in) or "tf" (HWIO, in x out).
    """
    rng = np.random.Generator(np.random.Philox(key=zlib.crc32(f"{seed}/{name}".encode())))
    shape = tuple(shape)
    leaf = name.replace("/", ".").split(".")[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf in ("running_var", "moving_variance") or name.endswith("variance/EMA"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if leaf in ("running_mean", "moving_mean") or name.endswith("mean/EMA"):
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    if len(shape) >= 2:
        fan_in = int(np.prod(shape[1:] if layout == "torch" else shape[:-1]))
        return (np.sqrt(2.0 / fan_in) * rng.standard_normal(shape)).astype(np.float32)
    if leaf in ("weight", "gamma"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return (0.1 * rng.standard_normal(shape)).astype(np.float32)


def parameters(case):
    """All start values of a case by the authors' name, in case.json order, `scale` applied."""
    return _generated(case["parameters"], case)


def _generated(listed, case):
    values = {}
    for entry in listed:
        name = entry["name"]
        value = parameter(name, entry["shape"], case["seed"], case["layout"])
        if name in case["scale"]:
            value = (value * case["scale"][name]).astype(value.dtype)
        values[name] = value
    return values


def pairs(model, parameters):
    """{authors' name: TensorPair} of those of a case's `parameters` that the model has.

    Raises:
      ValueError: no release of the model's method calls its tensors so.
    """
    names = {entry["name"] for entry in parameters}
    leftovers = {}
    for naming in releases.namings_of(model):
        unknown = [name for name in names - {pair.theirs for pair in naming.pairs} if naming.why_ignored(name) is None]
        leftovers[naming] = unknown + [pair.ours for pair in naming.pairs if pair.theirs not in names]
    best = min(leftovers, key=lambda naming: (len(leftovers[naming]), len(naming.entries)))
    if leftovers[best]:
        raise ValueError(f"{best.title}: variables that only the case or only the model has: {sorted(leftovers[best])}")
    return {pair.theirs: pair for pair in best.pairs}


def fill(model, case, parameters=None):
    """Gives the model the case's weights, of another list of `parameters` where asked for.

    Returns:
      {authors' name: our variable}, in the case's order.

    Raises:
      ValueError: the case has a parameter that the model has not, or the other way round.
    """
    listed = case["parameters"] if parameters is None else parameters
    known, ours = pairs(model, listed), releases.variables(model)
    values = _generated(listed, case)
    variables = {name: ours[known[name].ours] for name in values if name in known}
    if through and keras.config.floatx() == "float32":
        through(model, case, values)
        return variables
    for name, variable in variables.items():
        variable.assign(known[name].to_ours(values[name]))
    return variables


def probe(name, shape):
    """The float64 direction that `*_dot` digests of the parameter `name` project on."""
    rng = np.random.Generator(np.random.Philox(key=zlib.crc32(f"probe/{name}".encode())))
    return rng.standard_normal(tuple(shape))


def digest(name, value):
    """Returns (L2 norm, dot product with the probe) of one array, summed in float64."""
    value = np.asarray(value, np.float64)
    return float(np.sqrt(np.sum(value**2))), float(np.sum(value * probe(name, value.shape)))
