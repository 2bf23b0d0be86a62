"""Builders that turn a data source into sharded TFRecord files."""
