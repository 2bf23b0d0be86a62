"""Which picture goes where: reproducible choices from the hash of its name, never from a random state."""

import hashlib
from collections.abc import Mapping, Sequence

from e2wsol.errors import ArgumentError, UserError
from tfrecords.items import Item


def key(source_id: str, purpose: str) -> float:
    """A number in [0, 1) that depends on the picture's name and on what it is drawn for."""
    try:
        name = f"{purpose}\0{source_id}".encode()
    except UnicodeEncodeError:  # file systems hold such names
        raise UserError(f"{source_id!r}: a name that is not UTF-8; rename it") from None
    digest = hashlib.blake2b(name, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def shuffled(items: Sequence[Item]) -> list[Item]:
    """The items in the order of their hashes, so that any first part of a file is a fair sample."""
    return sorted(items, key=lambda item: (key(item.source_id, "order"), item.source_id))


def hold_out(items: Sequence[Item], fraction: float, purpose: str = "holdout") -> tuple[list[Item], list[Item]]:
    """Takes the same fraction of every class.

    Args:
      items: items of one split.
      fraction: of each class, rounded; at least one picture goes and one stays where there are two.
      purpose: name of the draw.

    Returns:
      (items that stay, items that go), each in the order given.
    """
    by_class: dict[int, list[Item]] = {}
    for item in items:
        by_class.setdefault(item.label, []).append(item)
    gone: set[str] = set()
    for members in by_class.values():
        wanted = round(fraction * len(members))
        wanted = min(max(wanted, 1), len(members) - 1) if fraction > 0 else 0
        drawn = sorted(members, key=lambda item: (key(item.source_id, purpose), item.source_id))
        gone.update(item.source_id for item in drawn[:wanted])
    return (
        [item for item in items if item.source_id not in gone],
        [item for item in items if item.source_id in gone],
    )


def check_counts(splits: Mapping[str, Sequence[Item]], expect_counts: Sequence[str]) -> None:
    """Compares pictures per split with entries "split:count".

    Raises:
      ArgumentError: an entry is none, or a split has another number of pictures.
    """
    for entry in expect_counts:
        name, _, count = entry.partition(":")
        if not count.isdigit():
            raise ArgumentError("expect_counts", entry, "expected split:count, such as train:5994")
        found = len(splits.get(name, ()))
        if found != int(count):
            raise ArgumentError("expect_counts", entry, f"split {name} has {found} pictures; is the download complete?")
