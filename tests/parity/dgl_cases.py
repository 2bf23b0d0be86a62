"""Checks a case of DGL: forward, gradients and maps at each layer, losses, and weights after optimizer steps."""

import re

import kit
import numpy as np
import tensorflow as tf
from dgl_maps import check_maps
from report import Report

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.methods.dgl import DGLOptions
from e2wsol.training.optimizers import NesterovMomentum

# The case's backbone -> ours, with its output stride.
BACKBONES = {
    "vgg16": ("vgg16", 16),
    "inception_v3": ("inception_v3_slim", 8),
    "resnet50": ("resnet50", 8),
    "resnet50se": ("resnet50_se", 8),
    "resnet50_se": ("resnet50_se", 8),
}
CONVENTIONS = {"resnet50": "tensorflow"}
# Bounds of the kit's README; the cases' noise arrays widen them.
LOSS, LATER_LOSS = 1e-4, 5e-4
GRADIENT, GRADIENT_MEDIAN = 2e-2, 1e-3
UPDATES = {1: (2e-2, 2e-3), 3: (1e-1, 2e-2)}
VALUES, STATISTICS = 1e-3, 1e-3
NOISE = 4


def check(case, arrays):
    """Returns the Report of one DGL case."""
    report, arrays = Report(), _Looked(arrays)
    model, _ = build(case, case["parameters"])
    report.part(check_maps, case, arrays, model)
    if "labels" in arrays and "grad_l2" in arrays:
        report.part(_check_training, case, arrays)
    for name in arrays.unseen():
        report.miss(name)
    return report


class _Looked(kit.Arrays):
    """The case's arrays, which remembers those that a check has read."""

    def __init__(self, arrays):
        super().__init__(arrays)
        self.seen = {"images_uint8", "labels"}

    def __getitem__(self, name):
        self.seen.add(name)
        return super().__getitem__(name)

    def unseen(self):
        """Names of arrays that no check has read; noise belongs to the array that it is the noise of."""
        return [name for name in self if name not in self.seen and not name.startswith("noise/")]


def build(case, parameters):
    """DGL as the case describes it with the case's weights of `parameters`, and {authors' name: our variable}.

    The released heads of CUB keep 1000 outputs, so the number of classes is that of the last bias.
    """
    backbone, output_stride = BACKBONES[case["backbone"]]
    *_, (num_classes,) = (entry["shape"] for entry in parameters if entry["name"].endswith(("/b", "/biases")))
    model = methods.create(
        "dgl",
        backbone=BackboneOptions(
            backbone=backbone,
            output_stride=output_stride,
            backbone_conventions=CONVENTIONS.get(backbone, "auto"),
            preprocessing="imagenet_bgr",
        ),
        image_size=224,
        num_classes=num_classes,
        options=[DGLOptions(dropout=0.0, pa=case["pa"])],
    )
    return model, kit.fill(model, case, parameters)


def _check_training(report, case, arrays):
    """Losses, gradient digests, and three optimizer steps at both learning rates."""
    parameters = case["train"].get("parameters", case["parameters"])
    run = _Run(case, parameters, arrays)
    run.check_start(report, arrays)
    for prefix, rate in (("", case["train"]["base_lr"]), ("calm_", case["train"].get("calm_lr"))):
        if f"{prefix}losses_step1" in arrays:
            run.check_steps(report, arrays, prefix, rate)


class _Run:
    """The network in training, from the case's start values."""

    def __init__(self, case, parameters, arrays):
        self.case, self.recipe = case, case["train"]
        self.model, self.variables = build(case, parameters)
        self.names = [entry["name"] for entry in parameters]
        self.pairs = kit.pairs(self.model, parameters)
        self.trained = [entry["name"] for entry in parameters if entry["trainable"]]
        self.start = {name: variable.numpy() for name, variable in self.variables.items()}
        decay = re.match(r"([\d.e-]+) \* sum\(W\^2\)", self.recipe["weight_decay"])
        self.decay = float(decay[1]) if decay else 0.0
        self.factors = {
            name: float(re.search(r"[\d.]+", value)[0])
            for value, names in self.recipe["lr_multipliers_by_value"].items()
            for name in names
        }
        self.labels = arrays["labels"]
        self.images = self._images(arrays["images_uint8"], arrays["loss_xent"])
        self.graph = tf.function(lambda: _gradients(self.model, self.images, self.labels))

    def _images(self, images, loss):
        """The pictures as the case's training graph had them.

        The authors' training reads BGR files and reverses nothing; a case may have given it the RGB
        pictures as they are, and does not say so. The order whose loss is nearer is taken.
        """

        def error(images):
            return abs(float(self.model.compute_loss(images, self.labels, self.model(images, training=True))) - loss)

        reversed_images = np.ascontiguousarray(images[..., ::-1])
        nearest = min((images, reversed_images), key=error)
        for name, value in self.start.items():
            self.variables[name].assign(value)
        return nearest

    def check_start(self, report, arrays):
        """The losses and the gradients of the cross-entropy at the start."""
        loss, gradients = self.step()
        self._close(report, arrays, "loss_xent", loss)
        self._close(report, arrays, "loss_l2", self.penalty())
        self._close(report, arrays, "loss_total", loss + self.penalty())
        if "slim_l2_not_in_loss" in arrays:
            everything = [name for name in self.trained if name.endswith("weights")]
            self._close(report, arrays, "slim_l2_not_in_loss", self._half_squares(everything, 5e-4))
        by_id = {id(variable): name for name, variable in self.variables.items()}
        found = {
            by_id[id(variable)]: gradient.numpy()
            for variable, gradient in zip(self.model.trainable_variables, gradients)
        }
        self._digests(report, arrays, "grad", "", found, self.trained, GRADIENT, GRADIENT_MEDIAN)

    def check_steps(self, report, arrays, prefix, rate):
        """Losses before each of three steps, and what the first and the third have changed."""
        for name, value in self.start.items():
            self.variables[name].assign(value)
        optimizer = self.optimizer(rate)
        for number in (1, 2, 3):
            loss, gradients = self.step()
            terms = {"loss_xent": loss, "loss_l2": self.penalty(), "loss_total": loss + self.penalty()}
            stored = sorted({"loss_total", *self.recipe["loss_terms"]})
            quantity = f"{prefix}losses_step{number}"
            if quantity in arrays:
                noise = NOISE * self.case.get("noise", {}).get(quantity, 0.0)
                bound = max(LOSS if number == 1 else LATER_LOSS, noise)
                report.close(quantity, [terms[name] for name in stored], arrays[quantity], relative=bound)
            optimizer.apply(gradients, self.model.trainable_variables)
            if number in UPDATES:
                self._check_values(report, arrays, prefix, number)

    def _check_values(self, report, arrays, prefix, number):
        values = {name: variable.numpy() for name, variable in self.variables.items()}
        changes = {name: values[name] - self.start[name] for name in values}
        suffix = f"_step{number}"
        self._digests(report, arrays, f"{prefix}delta", suffix, changes, self.names, *UPDATES[number])
        self._digests(report, arrays, f"{prefix}param", suffix, values, self.names, UPDATES[number][0], VALUES)
        if number == 1 and f"{prefix}param_l2{suffix}" in arrays:
            for name, expected in zip(self.names, arrays[f"{prefix}param_l2{suffix}"]):
                if name not in self.trained:
                    l2, _ = kit.digest(name, values[name])
                    report.add("statistics", abs(l2 - expected) / expected, STATISTICS)

    def optimizer(self, rate):
        """The recipe's optimizer at one learning rate."""
        optimizer = NesterovMomentum(
            rate,
            momentum=self.recipe["momentum"],
            l2=self.decay,
            l2_pattern="|".join(self.variables[name].path for name in self._decaying()),
            multipliers=[(self.variables[name].path, factor) for name, factor in self.factors.items()],
        )
        optimizer.build(self.model.trainable_variables)
        return optimizer

    def step(self):
        """(cross-entropy, gradients) in training mode."""
        loss, gradients = self.graph()
        return float(loss), gradients

    def penalty(self):
        """The decay as a term of the loss."""
        return self._half_squares(self._decaying(), self.decay)

    def _decaying(self):
        return [name for name in self.trained if name.endswith("/W")] if self.decay else []

    def _half_squares(self, names, factor):
        squares = (np.sum(self.variables[name].numpy().astype(np.float64) ** 2) for name in names)
        return 0.5 * factor * float(sum(squares))

    def _close(self, report, arrays, quantity, ours):
        if quantity in arrays:
            report.close(quantity, ours, arrays[quantity], relative=LOSS)

    def _digests(self, report, arrays, stem, suffix, values, names, bound, median_bound):
        """Norms and probe products relative to each parameter's expected norm; and their medians.

        What other kernels did to one parameter is a draw, so the noise of all of its kind counts.
        """
        if f"{stem}_l2{suffix}" not in arrays:
            return
        norms = arrays[f"{stem}_l2{suffix}"].astype(np.float64)
        ours = np.array([kit.digest(name, self.pairs[name].to_theirs(values[name])) for name in names])
        # A parameter whose exact gradient is zero is compared absolutely.
        scale = np.maximum(norms, 1e-5 * norms.max())
        kinds = np.array([re.search(r"(mean/|variance/)?[^/]+$", name)[0] for name in names])
        for column, digest in enumerate(("l2", "dot")):
            quantity = f"{stem}_{digest}{suffix}"
            errors = np.abs(ours[:, column] - arrays[quantity]) / scale
            noise = NOISE * arrays.get(f"noise/{quantity}", np.zeros(len(names))) / scale
            for kind in np.unique(kinds):
                found, moved = errors[kinds == kind], noise[kinds == kind]
                report.add(quantity, found.max(), max(bound, moved.max()))
                report.add(f"{quantity}_median", np.median(found), max(median_bound, np.median(moved)))


def _gradients(model, images, labels):
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = model.compute_loss(images, labels, outputs)
    return loss, tape.gradient(loss, model.trainable_variables)
