"""LayerCAM and CAM: gradients weigh the features place by place."""

from keras import ops

from e2wsol.localizers.formula import as_float


def layer_cam(features, gradient):
    """LayerCAM (Jiang et al., TIP 2021): ReLU(sum_c ReLU(g) A) of features A and gradient g; (B, h, w)."""
    features, gradient = as_float(features, gradient)
    return ops.relu(ops.sum(ops.relu(gradient) * features, axis=-1))


def class_activation_map(features, gradient):
    """CAM (Zhou et al., CVPR 2016) on the features under global average pooling and a linear classifier.

    There the gradient of the class's logit is the classifier's row over h * w at every place; (B, h, w).
    """
    features, gradient = as_float(features, gradient)
    return ops.sum(gradient * features, axis=-1)
