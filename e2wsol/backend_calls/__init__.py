"""What Keras has no operation for, by the backend in use: the one place where backends are called by name."""

import e2wsol.installed_keras  # noqa: F401  # isort: skip
