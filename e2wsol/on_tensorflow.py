"""Import this first in a command that runs on TensorFlow alone: without it the command ends with one line."""

from e2wsol import quiet_tensorflow

quiet_tensorflow.for_command(quiet_tensorflow.require)
