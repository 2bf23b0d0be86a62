"""The exceptions that reach a user as a single line."""

import os
import re
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

_Value = TypeVar("_Value")


class UserError(Exception):
    """Something the user gave is wrong: an argument, a file, a folder, a value.

    The message is one line that names the file or argument, the value that was found and what would
    be right. Commands print it without a traceback and exit with status 2.
    """


class ArgumentError(UserError, ValueError):
    """An argument is wrong. Its message names the argument; commands name the flag instead.

    Attributes:
      argument: name of the parameter or option field, such as "image_size".
      value: what was given; `None` where naming it would say nothing.
      problem: what is wrong with it, and what would be right; without a value such as "is missing: give a file".
      owner: the option dataclass that the field belongs to, where the name alone is not unique.

    Example:
      >>> str(ArgumentError("image_size", 4, "must be at least 8"))
      'image_size=4: must be at least 8'
    """

    def __init__(self, argument: str, value: Any, problem: str, *, owner: type | None = None):
        self.argument, self.value, self.problem, self.owner = argument, value, problem, owner
        super().__init__(self.named(argument))

    def named(self, name: str) -> str:
        """The message with the argument under another name, such as that of its flag."""
        if self.value is None:
            return f"{name}{' ' if self.problem.startswith('is ') else ': '}{self.problem}"
        value = ",".join(map(str, self.value)) if isinstance(self.value, (tuple, list)) else self.value
        return f"{name}={value}: {self.problem}"


class WorkerLostError(Exception):
    """Another worker ended or stopped answering, so this one cannot go on; started again, all can.

    Commands print the message as one line and exit with status 75 (EX_TEMPFAIL of sysexits.h: try again).
    """


def choose(value: _Value, choices: Collection[_Value], argument: str, *, owner: type | None = None) -> _Value:
    """Returns `value` where it is one of `choices`, else raises an ArgumentError that lists them."""
    if value not in choices:
        known = ", ".join(sorted(map(str, choices)))
        raise ArgumentError(argument, value, f"unknown; choose one of {known}", owner=owner)
    return value


# TensorFlow's errors that say what a file, a disk or the memory refuses; known by name, since not all import it.
_OF_TENSORFLOW = (
    *("NotFoundError", "PermissionDeniedError", "FailedPreconditionError", "AlreadyExistsError", "DataLossError"),
    *("ResourceExhaustedError", "UnavailableError"),
)


def some(texts: Sequence[str], limit: int, separator: str = ", ") -> str:
    """The first of some texts, and how many more there are.

    Example:
      >>> some(["a", "b", "c"], 2)
      'a, b and 1 more'
    """
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return separator.join(texts[:limit]) + more


def of_system(error: BaseException) -> str | None:
    """Says what the system or a file refused, as a message that names the file; None of an error of another kind.

    Example:
      >>> of_system(FileNotFoundError(2, "No such file or directory", "a.jpg"))
      'a.jpg: No such file or directory'
    """
    if isinstance(error, OSError):
        if error.errno is None or error.strerror is None:
            return str(error) or type(error).__name__
        name = error.filename2 or error.filename  # that which was to be made, of a file moved or linked
        reason = os.strerror(error.errno) if error.errno > 0 else error.strerror
        return f"{os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else 'writing'}: {reason}"
    if isinstance(error, MemoryError):
        return f"out of memory{f' ({error})' if str(error) else ''}; give less at once, such as a smaller batch"
    kinds = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("tensorflow.")}
    if "OpError" in kinds and kinds.intersection(_OF_TENSORFLOW):
        text = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]", "", str(getattr(error, "message", error)))
        return text.strip().partition("\n")[0].replace("; ", ": ", 1)
    return None
