"""Networks of the methods, narrow unless asked otherwise, and the shapes of their variables."""

import functools

from e2wsol import backbones, methods, releases
from e2wsol.backbones import BackboneOptions
from e2wsol.methods.bas import BASOptions
from e2wsol.methods.e2net import E2NetOptions
from e2wsol.releases import shapes


@functools.cache
def network(method, backbone, *options, width=0.05, classes=3, image_size=64, **settings):
    """A method's network; `settings` are further BackboneOptions."""
    settings = BackboneOptions(backbone=backbone, backbone_width=width, **settings)
    return methods.create(method, backbone=settings, image_size=image_size, num_classes=classes, options=options)


@functools.cache
def backbone_shapes(backbone, **settings):
    """{path: shape} of a backbone alone, narrow."""
    return shapes(backbones.build(BackboneOptions(backbone=backbone, backbone_width=0.05, **settings), 64))


# Every network that was released: method, backbone, options of the method, further options of the backbone.
RELEASED = {
    **{f"bas_{name}": ("bas", name, (), {}) for name in ("vgg16", "mobilenet_v1", "resnet50", "inception_v3")},
    **{
        f"bas_{name}_own": ("bas", name, (BASOptions(erased_statistics="own", warmup_epochs=1),), {})
        for name in ("vgg16", "mobilenet_v1", "resnet50", "inception_v3")
    },
    **{f"spol_{stage}": (f"spol_{stage}", "resnet50", (), {"output_stride": 32}) for stage in ("cam", "seg")},
    **{name: (name, "vgg16", (), {}) for name in ("mnpo", "mnpos")},
    **{f"dgl_{name}": ("dgl", name, (), {}) for name in ("vgg16", "resnet50", "resnet50_se")},
    "dgl_inception_v3_slim": ("dgl", "inception_v3_slim", (), {"output_stride": 8}),
    "e2net_vgg16": ("e2net", "vgg16", (), {}),
    "e2net_resnet50_se": ("e2net", "resnet50_se", (E2NetOptions(ose_batch_norm=True),), {}),
    "e2net_resnet50_se_no_bn": ("e2net", "resnet50_se", (), {}),
}


def released(name, **settings):
    """The network called so in RELEASED."""
    method, backbone, options, more = RELEASED[name]
    return network(method, backbone, *options, **more, **settings)


def namings(name, **settings):
    """The TensorNamings of a network of RELEASED."""
    method, backbone, *_ = RELEASED[name]
    return releases.namings(method, backbone, shapes(released(name, **settings)))
