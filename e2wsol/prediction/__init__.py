"""From a trained model to the boxes of any pictures."""
