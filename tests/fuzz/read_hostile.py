"""Reads hostile files by every reader of pictures; for a process with little memory: python read_hostile.py FOLDER."""

import pathlib
import sys
import time

import hostile
import tensorflow as tf

from e2wsol.data import images, pipeline
from e2wsol.errors import UserError
from tfrecords.items import Location
from tfrecords.masks import MaskFile

EXPECTED = (UserError, tf.errors.InvalidArgumentError)


def main(folder):
    """Prints a line a file and reader: what came of it, and the seconds that it took."""
    files = {
        "jpeg": hostile.jpeg_that_claims(hostile.SIDE, hostile.SIDE),
        "wide jpeg": hostile.jpeg_that_claims(1, 65_000),
        "gif": hostile.gif_that_claims(hostile.SIDE, hostile.SIDE),
        "png": hostile.png_bomb(),
        "empty": b"",
    }
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content)
        readers = {
            "picture": lambda content=content: images.decode(content, "a.jpg"),
            "record": lambda content=content: pipeline.decode(content),
            "mask in a record": lambda content=content: tf.io.decode_png(content, channels=1),
            "mask": lambda path=path: MaskFile(Location(str(path)), "nonzero").render(30, 40),
        }
        for reader, read in readers.items():
            start = time.monotonic()
            try:
                read()
                result = "read"
            except EXPECTED as error:
                result = type(error).__name__
            print(f"{name}/{reader}: {result}", f"{time.monotonic() - start:.1f}", sep="\t")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
