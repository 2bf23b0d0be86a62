"""What train_step.py and localize.py share: names on the command line, made-up data, tables and ratios."""

import importlib.util

import keras
import numpy as np

from e2wsol import methods
from e2wsol.errors import choose

# Plain PyTorch as it lies in memory: (name, whether features are NHWC there). The faster one counts.
LAYOUTS = {"plain PyTorch": False, "plain PyTorch, channels last": True}

# Methods whose step, or whose maps, plain_methods.py does not have.
NO_PLAIN_STEP = ("cutmix", "has")
NO_PLAIN_MAPS = (*NO_PLAIN_STEP, "acol", "spg")


def named(asked, known, argument):
    """The names asked for, a tuple or text with commas; `all` are all that are known."""
    asked = asked.split(",") if isinstance(asked, str) else asked
    found = list(known) if "all" in asked else asked
    for name in found:
        choose(name, known, argument)
    return found


def has_pytorch():
    """Whether there is a PyTorch to compare with."""
    return importlib.util.find_spec("torch") is not None


def make_model(method, options, backbone, method_options=()):
    """The method, with the same weights in every process."""
    keras.utils.set_random_seed(0)
    return methods.create(
        method,
        backbone=backbone,
        image_size=options.image_size,
        num_classes=options.num_classes,
        options=method_options,
    )


def images_and_labels(options):
    """Made-up uint8 pictures (B, S, S, 3) and int labels (B,)."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (options.batch_size, options.image_size, options.image_size, 3), dtype=np.uint8)
    return images, rng.integers(0, options.num_classes, options.batch_size, dtype=np.int32)


def heading(name, backbone, options, device):
    """Prints what the next table is about."""
    batch = f"{options.image_size} pixels, {options.batch_size} pictures at once"
    print(f"\n{name} on {backbone.backbone}, {batch}; Keras on {keras.backend.backend()}; {device}")


def print_table(found, batch_size):
    """Prints a row for each of the numbers of stopwatch.take_turns."""
    print("| | seconds | pictures a second | processors' seconds | peak memory, MiB |\n|---|---|---|---|---|")
    for name, numbers in found.items():
        seconds, cpu = numbers["seconds"], numbers["cpu_seconds"]
        print(f"| {name} | {seconds:.3f} | {batch_size / seconds:.1f} | {cpu:.3f} | {numbers['memory']} |", flush=True)


def subject(method, backbone, options, own):
    """What was measured, and our pictures a second and memory."""
    return {
        "method": method,
        "backbone": backbone.backbone,
        "backend": keras.backend.backend(),
        "device": own["device"],
        "batch_size": options.batch_size,
        "pictures_per_second": round(options.batch_size / own["seconds"], 2),
        "memory_mib": own["memory"],
    }


def against_pytorch(found, name):
    """Ratios of `name` to the faster layout of plain PyTorch, by either clock; none where it was not measured."""
    plain = [found[layout] for layout in LAYOUTS if layout in found]
    if not plain:
        return {}
    best, own = min(plain, key=lambda numbers: numbers["seconds"]), found[name]
    return {
        "ratio_to_plain_pytorch": round(best["seconds"] / own["seconds"], 3),
        "cpu_ratio_to_plain_pytorch": round(min(each["cpu_seconds"] for each in plain) / own["cpu_seconds"], 3),
        "memory_to_plain_pytorch": round(own["memory"] / best["memory"], 3),
    }


def together(cases):
    """The JSON object of one case; of several their list, and the worst ratio to PyTorch."""
    if len(cases) == 1:
        return cases[0]
    worst = [case["ratio_to_plain_pytorch"] for case in cases if "ratio_to_plain_pytorch" in case]
    return {**({"ratio_to_plain_pytorch": min(worst)} if worst else {}), "cases": cases}
