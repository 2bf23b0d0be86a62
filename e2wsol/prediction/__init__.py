"""From a trained model to the boxes of any pictures."""

import e2wsol.installed_keras  # noqa: F401  # isort: skip
