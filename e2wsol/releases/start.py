"""The usual start weights of a backbone alone: the files that the methods' authors began from."""

from e2wsol.releases import pytorch, slim, tensorpack

_HEAD = "classification head of the start file"
# Of torchvision's features: convolutions, ReLUs and pools are counted.
_FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_VGG16 = {layer: f"features.{number}" for layer, number in zip(pytorch.VGG16, _FEATURES, strict=True)}
# Backbone -> (title, {our layer: theirs}, what else is in the file) of each file.
_PYTORCH = {
    "vgg16": ("torchvision's vgg16", _VGG16, r"classifier\..+"),
    "resnet50": ("torchvision's resnet50", pytorch.RESNET50, r"fc\..+"),
    "inception_v3": ("torchvision's inception_v3", pytorch.INCEPTION_V3, r"(fc|AuxLogits)\..+"),
    "mobilenet_v1": ("BAS's start file of mobilenet_v1", pytorch.MOBILENET_V1, r"(fc|classifier)\..+"),
}
_TENSORPACK = {
    "vgg16": ("tensorpack's vgg16.npz", r"fc[678]/.+"),
    "resnet50": ("tensorpack's ImageNet-ResNet50.npz", r"linear/.+"),
    "resnet50_se": ("tensorpack's ImageNet-ResNet50-SE.npz", r"linear/.+"),
}
_SLIM = "inception_v3_slim"
BACKBONES = tuple(dict.fromkeys((*_PYTORCH, *_TENSORPACK, _SLIM)))


def namings(backbone, variables):
    """The Namings of the start files for a backbone of BACKBONES; variables that they do not have are left out."""
    if backbone in _PYTORCH:
        title, layers, head = _PYTORCH[backbone]
        yield pytorch.naming(title, layers, variables, ignored=((head, _HEAD),))
    if backbone in _TENSORPACK:
        title, head = _TENSORPACK[backbone]
        yield tensorpack.naming(title, tensorpack.TRUNKS[backbone], variables, ignored=((head, _HEAD),))
    if backbone == _SLIM:
        behind = (r"InceptionV3/(Mixed_7[abc]|AuxLogits|Logits)/.+", "behind Mixed_6e, where DGL's network ends")
        yield slim.naming("slim's inception_v3.ckpt", slim.TRUNK, variables, ignored=(behind,))
