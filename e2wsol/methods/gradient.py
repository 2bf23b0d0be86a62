from typing import Any

from e2wsol.localizers.layer_gradients import ForwardPass, LayerGradients, by_label


class GradientLocalization:
    """What methods share whose maps are made of gradients at one layer; stands in front of Method.

    They bring `layer_gradients`, LayerGradients at that layer, and `maps_from`.
    """

    layer_gradients: LayerGradients

    def maps_from(self, forward: ForwardPass, labels: Any) -> Any:
        """Maps (B, h, w) of one class an image, labels (B,)."""
        raise NotImplementedError

    def localize(self, images: Any, labels: Any = None) -> tuple[Any, Any]:
        """As Method.localize; the maps (B, h, w) have the sides of the features at `gradient_layer`."""
        forward = self.layer_gradients(images)
        logits = forward.outputs["logits"]
        [maps] = by_label(lambda chosen: [self.maps_from(forward, chosen)], logits, labels)
        return logits, maps
