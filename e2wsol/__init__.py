"""Weakly supervised object localization in Keras 3: train on labels, get boxes."""

__version__ = "0.1.0"
