"""Builders that turn a data source into sharded TFRecord files."""

import e2wsol  # noqa: F401  # which watches signals from here on
