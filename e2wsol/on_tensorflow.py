"""Import this first in a command that runs on TensorFlow alone: without it the command ends with one line."""

from e2wsol import cli, quiet_tensorflow

cli.for_command(quiet_tensorflow.require_for_command)
