"""What a pickle of torch.save asks for, seen from its opcodes: nothing is run and nothing allocated."""

import collections
import pickletools
import re
import warnings
from collections.abc import Iterable
from typing import Any

from e2wsol.errors import UserError
from e2wsol.releases.formats.source import printable

# What tensors, and the plain values beside them, are made of. PyTorch allows more, some of which allocates
# what a number in the file asks for (bytearray, FloatTensor).
_ALLOWED = re.compile(
    r"collections (OrderedDict|Counter)|(__builtin__|builtins) (set|complex)|_codecs encode"
    r"|torch\._utils (_rebuild_tensor|_rebuild_tensor_v[23]|_rebuild_parameter|_rebuild_parameter_with_state)"
    r"|torch\._tensor _rebuild_from_type_v2|torch\.nn\.parameter Parameter"
    r"|numpy\.(_core|core)\.multiarray scalar|numpy dtype"  # a best score beside the tensors
    r"|torch\.storage \w+Storage|torch (\w+Storage|Size|device|bool|(u?int|b?float|complex)\d+\w*)"
)
_NAMES = {"GLOBAL", "INST"}
# The same by way of the stack or a registry, which torch.save does not write.
_HIDDEN_NAMES = {"STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "PERSID"}
_MEMO_WRITES = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_MEMO_READS = {"GET", "BINGET", "LONG_BINGET"}


def check_pickle(stream: Any, size: int, label: str, old: bool = False) -> None:
    """Raises a UserError when a pickle asks for more than tensors, or for a tensor larger than its file.

    Args:
      stream: at the pickle's first byte; behind its last one afterwards. In memory or mapped, so that
        reading a claimed length gets no more than there is.
      size: bytes of the file.
      label: the file, for the message.
      old: whether the container is the one from before PyTorch 1.6.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pickletools resolves escapes in names, and damaged ones have odd ones
            _check_opcodes(pickletools.genops(stream), size, label, old)
    except (ValueError, OverflowError, IndexError, MemoryError) as error:
        raise UserError(f"{label}: damaged or cut off ({printable(error)})") from None


def _check_opcodes(opcodes: Iterable[tuple], size: int, label: str, old: bool) -> None:
    recent: collections.deque[tuple[str, Any]] = collections.deque(maxlen=3)
    for opcode, argument, _ in opcodes:
        if opcode.name in _MEMO_WRITES:
            continue
        if opcode.name in _NAMES and not _ALLOWED.fullmatch(argument):
            raise refusal(label, f"global {argument.replace(' ', '.')}")
        if opcode.name in _HIDDEN_NAMES:
            name = ".".join(text for _, text in list(recent)[-2:] if isinstance(text, str))
            raise refusal(label, f"global {name}" if name else f"opcode {opcode.name}")
        if opcode.name == "BINPERSID":
            _check_storage(list(recent), size, label, old)
        recent.append((opcode.name, argument))


def refusal(label: str, found: str) -> UserError:
    """The UserError for a file that holds `found` beside its tensors."""
    return UserError(
        f"{label}: holds more than tensors ({printable(found)}); files that would run code are not opened; "
        "save its state_dict with torch.save(model.state_dict(), ...)"
    )


def _check_storage(recent: list[tuple[str, Any]], size: int, label: str, old: bool) -> None:
    """Checks ("storage", type, key, device, number of values), which the old container ends with None.

    The number must stand there itself, as torch.save writes it: one out of the memo would be unseen.
    """
    ending = ["NONE", "TUPLE"] if old else ["TUPLE"]
    name, values = recent[-1 - len(ending)] if len(recent) > len(ending) else ("", None)
    written = [opcode for opcode, _ in recent[-len(ending) :]] == ending
    if not written or name in _MEMO_READS or not isinstance(values, int):
        raise refusal(label, "a storage of unknown size")
    if not 0 <= values <= size:
        raise UserError(f"{label}: damaged; a tensor in it claims {values} values and the file has {size} bytes")
