"""Localization maps that another program left in files."""

import pathlib

import numpy as np

from e2wsol.errors import UserError

VALUES = ("scores", "raw")


class StoredMaps:
    """Maps as .npy files named by picture, as the wsolevaluation benchmark stores them.

    The map of picture `a/b.jpg` is `a/b.jpg.npy` in the folder; `a/b.npy` will do too. Besides its id
    the picture's file name in the records is tried.

    Args:
      folder: where the files are, at any depth.
      size: side of the frame in pixels.
      values: "scores": a map is (size, size) in [0, 1] already and is taken as it is; "raw": a map of
        any size and range, resized and normalised as the protocol does.

    Raises:
      UserError: there is no such folder.
    """

    def __init__(self, folder, *, size, values):
        self.folder, self.size, self.values = pathlib.Path(folder), size, values
        if not self.folder.is_dir():
            raise UserError(f"--maps={folder}: no such folder; give the one that holds a .npy file a picture")

    def look(self, batch):
        """[(find, None)] of the pictures of a batch of records: no class is predicted.

        find(scorer) reads the picture's file and returns the scorer's Prediction.
        """
        ids, files = (np.asarray(batch[name]).tolist() for name in ("source_id", "filename"))
        names = [tuple(name.decode(errors="replace") for name in pair) for pair in zip(ids, files)]
        return [(self._finder(*pair), None) for pair in names]

    def _finder(self, source_id, filename):
        def find(scorer):
            stored = self.read(source_id, filename)
            return scorer.locate_in(stored) if self.values == "scores" else scorer.locate(stored)

        return find

    def read(self, source_id, filename=""):
        """The map of one picture: float64 (size, size) in [0, 1], or (h, w) where values are raw.

        Raises:
          UserError: no file of the picture, or not such a map in it.
        """
        path = self._path(source_id, filename)
        try:
            stored = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise UserError(f"{path}: cannot be read as a .npy array ({error})") from None
        if not isinstance(stored, np.ndarray) or stored.ndim != 2 or not stored.size or stored.dtype.kind not in "fiu":
            found = f"{stored.dtype} {stored.shape}" if isinstance(stored, np.ndarray) else type(stored).__name__
            raise UserError(f"{path}: holds {found}; expected one map, numbers of shape (height, width)")
        stored = stored.astype(np.float64)
        if self.values == "scores":
            self._check_scores(path, stored)
        return stored

    def _check_scores(self, path, stored):
        way_out = "--map_values=raw resizes and normalises maps as the protocol does"
        if stored.shape != (self.size, self.size):
            found = "x".join(map(str, stored.shape))
            raise UserError(f"{path}: {found} values, expected {self.size}x{self.size} (--map_size); {way_out}")
        if not (stored.min() >= 0 and stored.max() <= 1):  # NaN is neither
            found = f"{stored.min():g} to {stored.max():g}"
            raise UserError(f"{path}: values from {found}, expected scores from 0 to 1; {way_out}")

    def _path(self, source_id, filename):
        names = [name for name in (source_id, filename) if name]
        files = [f"{stem}.npy" for name in names for stem in (name, pathlib.PurePosixPath(name).with_suffix(""))]
        for file in files:
            if (self.folder / file).is_file():
                return self.folder / file
        others = ", ".join(dict.fromkeys(files[1:]))
        raise UserError(f"{self.folder / files[0]}: no map of picture {source_id} (nor {others} in {self.folder})")
