import keras

from e2wsol.methods.base import Method, class_activation_maps, classifier, head_features


@keras.saving.register_keras_serializable(package="e2wsol")
class CAM(Method):
    """Class activation maps (Zhou et al., CVPR 2016): the baseline of the field."""

    @classmethod
    def heads(cls, end_points, architecture, width, num_classes, options):
        features = head_features(list(end_points.values())[-1], architecture, width, "features")
        return {"logits": classifier(features, num_classes, architecture, "linear"), "features": features}

    def class_maps(self, outputs, labels):
        return class_activation_maps(outputs["features"], self.get_layer("linear").kernel, labels)
