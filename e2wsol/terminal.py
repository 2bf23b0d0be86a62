"""What a command says: whole lines in which no name of a file or a class can steer the terminal.

Names come from anywhere. Control characters in them, newlines and C1 ones too, and marks that turn the direction of
text around are shown as escapes. What is written to a stream that nobody reads any more is dropped: the work goes on.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from tqdm import tqdm

from e2wsol import stop_signals

_STEERING = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_A_LINE = re.compile(f"[\t\n\r{_STEERING}]")
_IN_A_STREAM = re.compile(f"(?!\x1b\\[A)[{_STEERING}]")  # a progress bar moves up a line by ESC [ A


def printable(text: Any) -> str:
    r"""The text as one line, what could steer a terminal as escapes.

    Example:
      >>> printable("a\x1b[2J\nb")
      'a\\x1b[2J\\nb'
    """
    return _IN_A_LINE.sub(_escape, str(text))


def one_line(text: Any) -> str:
    r"""A message that may go over several lines, such as another library's, as one printable line.

    Example:
      >>> one_line("cannot be read:\n  bad \x07 header")
      'cannot be read: bad \\x07 header'
    """
    return printable(" ".join(re.split(r"[ \t\r\n]+", str(text).strip())))


def say(*lines: Any) -> None:
    """Prints lines on standard output, above progress bars."""
    _print(lines, sys.stdout)


def note(*lines: Any) -> None:
    """Prints lines on standard error, above progress bars."""
    _print(lines, sys.stderr)


def _print(lines: tuple[Any, ...], stream: TextIO) -> None:
    tqdm.write("\n".join(map(printable, lines)), file=stream)
    stream.flush()


def _escape(found: re.Match) -> str:
    return found[0].encode("unicode_escape").decode()


class ProgressBar(tqdm):
    """A progress bar of tqdm's on standard error; a command that was told to stop does so at its next step."""

    def __init__(self, total: int, desc: str, unit: str, **options: Any):
        super().__init__(total=total, desc=printable(desc), unit=unit, **options)

    def update(self, n: float = 1) -> bool | None:
        """Counts n more as done."""
        stop_signals.check()
        return super().update(n)


def open_missing_streams() -> None:
    """Opens what is closed of standard input, output and error on the null device.

    Otherwise the next file that is opened gets such a number, and what libraries print goes into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # for good


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """A context in which standard output and error escape, print any name and survive that nobody reads them."""
    open_missing_streams()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = safe = [_SafeStream(stream) for stream in before]  # type: ignore[assignment]
    try:
        yield
    finally:
        for stream in safe:
            with contextlib.suppress(OSError):  # a command that succeeds has flushed before
                stream.flush()
        sys.stdout, sys.stderr = before


class _SafeStream:
    """A text stream as `safe_streams` describes it."""

    def __init__(self, stream: Any):
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes text with escapes; returns the length of what was given."""
        with self._surviving():
            self._stream.write(_IN_A_STREAM.sub(_escape, text))
        return len(text)

    def flush(self) -> None:
        """Writes what is kept back."""
        with self._surviving():
            self._stream.flush()

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._drop()
            if not isinstance(error, BrokenPipeError):
                raise OSError(error.errno, error.strerror, getattr(self._stream, "name", "standard output")) from None

    def _drop(self) -> None:
        """Sends all that follows, of this stream and of libraries that write to its number, to the null device."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
