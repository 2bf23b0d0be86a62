"""The methods' training steps and maps in plain PyTorch, as their authors' code has them."""

import copy

import keras
import torch
from plain_pytorch import Twin
from torch.nn import functional

from e2wsol.methods.bas import BAS


class Plain:
    """A method's network and objective in PyTorch.

    Args:
      model: Method under whatever backend; nothing of it is needed afterwards.
      channels_last: whether weights and features lie in memory as NHWC.

    Attributes:
      twin: the network, a Twin; on the GPU where there is one.
      device: of its weights.
    """

    def __init__(self, model, channels_last):
        name = model.key
        self.options, self.num_classes = model.options, model.num_classes
        self.image_size = model.image_size
        self.layer = getattr(model, "gradient_layer", None)
        outputs = dict(model.output)
        if self.layer:
            outputs["gradient_features"] = model.end_points[self.layer]
        self.twin = Twin(keras.Model(model.inputs[0], outputs))
        self.tail = Twin(model.tail, self.twin.by_name()) if isinstance(model, BAS) else None
        self.linear = {name: part for name, part in self.twin.by_name().items() if isinstance(part, torch.nn.Linear)}
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.twin.to(self.device)
        if channels_last:
            self.twin.to(memory_format=torch.channels_last)
            self.twin.by_name()["preprocessing"].memory_format = torch.channels_last
        self._objective = _OBJECTIVES.get(name, _cross_entropy)
        self._maps = _MAPS.get(name, _class_activation_maps)

    def loss(self, images, targets):
        """The objective on uint8 pictures (B, S, S, 3) and what the method learns: int (B,), or pseudo masks."""
        return self._objective(self, self.twin(images), targets)

    def maps(self, images, labels):
        """(logits or None, maps (B, h, w)) of the classes labels (B,)."""
        with torch.set_grad_enabled(self.layer is not None):
            outputs = self.twin(images)
            return outputs.get("logits"), self._maps(self, outputs, labels)


def _cross_entropy(plain, outputs, labels):
    return functional.cross_entropy(outputs["logits"], labels)


def _two_branches(plain, outputs, labels):
    return functional.cross_entropy(outputs["logits"], labels) + functional.cross_entropy(
        outputs["branch_logits"], labels
    )


def _self_distillation(plain, outputs, labels):
    if "deep_logits" not in outputs:
        return _cross_entropy(plain, outputs, labels)
    teacher = outputs["deep_logits"].detach().softmax(1)
    distillation = -(teacher * outputs["logits"].log_softmax(1)).sum(1).mean()
    return (functional.cross_entropy(outputs["deep_logits"], labels) + distillation) / 2


def _segmentation(plain, outputs, pseudo_masks):
    options = plain.options
    size = tuple(pseudo_masks.shape[1:3])
    logits = functional.interpolate(outputs["map"][:, None], size, mode="bilinear", align_corners=True)[:, 0]
    foreground, prior = pseudo_masks.float().div_(255).unbind(-1)
    target = (foreground > options.foreground) | (prior > options.prior)
    certain = target | (foreground < options.background)
    return functional.binary_cross_entropy_with_logits(logits, target.float(), certain.float())


def _suppression(plain, outputs, labels):
    """BAS; the erased branch runs on a deep copy of the tail, made anew in every step, whose gradients are dropped."""
    options = plain.options
    rows = torch.arange(len(labels), device=labels.device)
    saliency = outputs["saliency"][rows, labels][:, None]
    erased_maps = copy.deepcopy(plain.tail)(outputs["trunk"].detach() * (1 - saliency))
    erased = erased_maps.mean((2, 3))[rows, labels]
    logit = outputs["logits"][rows, labels].detach()
    counts = erased <= logit if options.equal_ratio else erased < logit
    ratio = torch.where(counts, erased / (logit + 1e-8), 0.0)
    class_maps = outputs["class_maps"]
    pooled = functional.avg_pool2d(saliency, saliency.shape[-1] // class_maps.shape[-1])
    guidance = functional.cross_entropy((class_maps * pooled).mean((2, 3)), labels)
    area = saliency.mean((1, 2, 3))
    return (
        functional.cross_entropy(outputs["logits"], labels)
        + options.guidance_weight * guidance
        + (ratio + options.area_weight * area).mean()
    )


def _class_activation_maps(plain, outputs, labels):
    return _weighted(outputs["features"], plain.linear["linear"].weight[labels])


def _weighted(features, weights):
    """Features (B, c, h, w) weighted by (B, c), over h w: (B, h, w)."""
    return torch.einsum("bchw,bc->bhw", features, weights) / features[0, 0].numel()


def _orientations(plain, outputs, labels):
    bank = plain.options.ose_orientations
    weights = sum(plain.linear[f"{each}_linear"].weight for each in bank) / len(bank)
    features = torch.stack([outputs[f"{each}_features"] for each in bank]).amax(0)
    return _weighted(features, weights[labels])


def _mean_saliency(plain, outputs, labels):
    return outputs["saliency"].mean(1)


def _parallel_branch(plain, outputs, labels):
    weights = plain.linear["linear"].weight[labels]
    weights = torch.where(weights > 0, plain.options.positive_weight * weights, weights)
    maps = torch.stack([_weighted(outputs[name], weights) for name in ("features", "branch_features")], 1)
    return functional.interpolate(maps, (plain.image_size,) * 2, mode="bicubic", align_corners=False).amax(1)


def _gradients(plain, outputs, labels, names):
    """Features at the layer, gradient of the class's logits, and of the cost softmax - 10 chosen."""
    chosen = functional.one_hot(labels, plain.num_classes).float()
    logits, features = [outputs[name] for name in names], outputs["gradient_features"]
    evidence = torch.autograd.grad(logits, features, [chosen] * len(names), retain_graph=True)[0]
    costs = [each.detach().softmax(1) - 10 * chosen for each in logits]
    return features.detach(), evidence, torch.autograd.grad(logits, features, costs)[0]


def _unit(x):
    return x / x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def _dual_gradients(plain, outputs, labels):
    features, evidence, against = _gradients(plain, outputs, labels, ["logits"])
    return (evidence * (_unit(features) - _unit(against))).sum(1)


def _gradient_maps(plain, outputs, labels):
    features, evidence, loss = _gradients(plain, outputs, labels, ["logits", "branch_logits"])
    weights = evidence.sum((2, 3))
    weights = torch.where(weights > 0, plain.options.positive_weight * weights, weights)
    return torch.einsum("bchw,bc->bhw", _unit(features) - _unit(loss), weights)


def _chosen_maps(plain, outputs, labels):
    return outputs["class_maps"][torch.arange(len(labels), device=labels.device), labels]


_OBJECTIVES = {
    "bas": _suppression,
    "mnpo": _two_branches,
    "mnpos": _two_branches,
    "spol_cam": _self_distillation,
    "spol_seg": _segmentation,
}
_MAPS = {
    "bas": _mean_saliency,
    "e2net": _orientations,
    "mnpo": _parallel_branch,
    "mnpos": _gradient_maps,
    "dgl": _dual_gradients,
    "spol_cam": _chosen_maps,
    "spol_seg": lambda plain, outputs, labels: outputs["map"],
}
