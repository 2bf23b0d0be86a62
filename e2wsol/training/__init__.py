import e2wsol.installed_keras  # noqa: F401  # isort: skip
