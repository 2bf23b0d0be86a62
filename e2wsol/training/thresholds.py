"""The thresholds that were chosen for a run: one for each protocol and each kind of maps."""

import dataclasses
import json
import pathlib
from typing import Any

from e2wsol import files, reading

# What a threshold comes from.
GIVEN, RUN_FLAG, PROTOCOL = "given", "the run's --threshold", "the protocol"


@dataclasses.dataclass(frozen=True)
class ThresholdChoice:
    """The threshold that boxes are made with.

    Attributes:
      value: in [0, 1], read as the protocol reads it.
      source: where it comes from: GIVEN, "chosen on split val" (or another) by evaluate, RUN_FLAG or PROTOCOL.
    """

    value: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise ValueError(f"threshold {self.value}")


class Thresholds:
    """thresholds.json of a run folder: what every evaluation chose, whichever protocol and maps came last.

    Args:
      file: its path.
    """

    def __init__(self, file: pathlib.Path):
        self.file = file

    def chosen(self, protocol: str, maps: str = "") -> ThresholdChoice | None:
        """What was chosen under a protocol, None where nothing was.

        Args:
          protocol: its name.
          maps: name of a localizer's maps, such as "gradcam/conv5_3"; empty for the method's own.

        Raises:
          UserError: the file is damaged.
        """
        with reading.guarded(self.file, "not the thresholds of a run", "; evaluate again"):
            entry = self._read().get(protocol, {}).get(maps)
            return ThresholdChoice(float(entry["threshold"]), str(entry["source"])) if entry else None
        return None  # never reached: for type checkers, since a context may swallow an error

    def add(self, protocol: str, choices: dict[str, ThresholdChoice]) -> None:
        """Writes choices under a protocol, by name of maps; others stay. The caller holds the folder's lock."""
        with reading.guarded(self.file, "not the thresholds of a run", "; remove it"):
            known = self._read()
            new = {name: {"threshold": choice.value, "source": choice.source} for name, choice in choices.items()}
            known[protocol] = {**known.get(protocol, {}), **new}
        files.write_text(self.file, json.dumps(known, indent=1) + "\n")

    def _read(self) -> dict[str, Any]:
        return json.loads(files.read_text(self.file)) if self.file.is_file() else {}
