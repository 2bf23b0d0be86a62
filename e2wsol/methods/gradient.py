from keras import ops


class GradientLocalization:
    """What methods share whose maps are made of gradients at one layer; stands in front of Method.

    They bring `cut`, a Cut at that layer, and `maps_from(forward, labels)`: maps (B, h, w) of one class
    a picture, labels (B,), from a Pass.
    """

    def localize(self, images, labels=None):
        """As Method.localize; the maps (B, h, w) have the sides of the features at `gradient_layer`."""
        forward = self.cut(images)
        logits = forward.outputs["logits"]
        labels = ops.argmax(logits, axis=-1) if labels is None else ops.convert_to_tensor(labels)
        if len(labels.shape) == 1:
            return logits, self.maps_from(forward, labels)
        maps = [self.maps_from(forward, labels[:, column]) for column in range(labels.shape[1])]
        return logits, ops.stack(maps, axis=1)
