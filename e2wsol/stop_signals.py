"""SIGTERM and Ctrl-C end a command with one line and a status of its own, from its first import on.

While a command is imported there is nothing to put in order: it ends at once. While it works it ends by an exception,
so that what is half written goes. What has more to do, as a training that saves, has its own handler for that time.

Python raises such an exception between any two of its instructions. Where libraries call Python from C++ it can get
lost or become another: TensorFlow does both. So the signal is remembered too, and `check` raises what got lost.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

EXIT_STOPPED = 4
EXIT_INTERRUPTED = 130
_STATUS = {signal.SIGTERM: EXIT_STOPPED, signal.SIGINT: EXIT_INTERRUPTED}
_PACKAGES = ("e2wsol", "tfrecords")
_came: int | None = None  # the last signal of the block of `raised`
_screen = 2  # descriptor of standard error; 2 itself is mute while TensorFlow is imported
_UNTOUCHED = (signal.SIG_DFL, signal.default_int_handler)  # a shell lets what it starts behind it ignore Ctrl-C


class Stopped(KeyboardInterrupt):  # no error
    """SIGTERM came: what a KeyboardInterrupt is for Ctrl-C, and passed on by all that pass that on."""


_EXCEPTIONS: dict[int, type[KeyboardInterrupt]] = {signal.SIGTERM: Stopped, signal.SIGINT: KeyboardInterrupt}


def watch_command() -> None:
    """Called by the packages' first lines: if Python runs a command of theirs, the signals end it from now on."""
    global _screen
    if _is_command() and threading.current_thread() is threading.main_thread():
        with contextlib.suppress(OSError):  # it is closed
            _screen = os.dup(2)
        for number in _STATUS:
            if signal.getsignal(number) in _UNTOUCHED:
                signal.signal(number, _leave)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Raises Stopped where SIGTERM comes during the block, KeyboardInterrupt for Ctrl-C; at its end if not before."""
    global _came
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _STATUS}
    _came = None
    for number, handler in before.items():
        if handler in (*_UNTOUCHED, _leave):
            signal.signal(number, _raise)
    try:
        with _quiet_when_lost():
            yield
            check()
    except Exception as error:
        check(error)
        raise
    finally:
        _came = None
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is _leave else handler)  # its work is done


def check(cause: BaseException | None = None) -> None:
    """Raises the exception of a signal that has come in the block of `raised`; outside one it does nothing.

    Args:
      cause: what a library made of it.
    """
    if _came is not None:
        raise _EXCEPTIONS[_came] from cause


def ended_by(error: KeyboardInterrupt) -> tuple[str, int]:
    """The line and the exit status of a command that ends by an exception of `raised`."""
    if isinstance(error, Stopped):
        return "stopped by SIGTERM; what is finished is kept", EXIT_STOPPED
    return "interrupted; what is finished is kept", EXIT_INTERRUPTED


@contextlib.contextmanager
def kept_from_children() -> Iterator[None]:
    """Hides Ctrl-C from processes that are started in the block: a terminal sends it to all, their parent ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_command() -> bool:
    """Whether Python was called as `e2wsol` or as `python -m` with a module of ours, which is not yet known as such."""
    arguments = sys.orig_argv
    if sys.argv[:1] == ["-m"] and "-m" in arguments[1:-1]:  # as it is until the module is found
        return arguments[arguments.index("-m") + 1].partition(".")[0] in _PACKAGES
    return any(os.path.basename(argument) == "e2wsol" for argument in sys.argv[:1])


def _leave(number: int, frame: FrameType | None) -> None:
    how = "stopped by SIGTERM" if number == signal.SIGTERM else "interrupted"
    with contextlib.suppress(OSError):  # nobody reads it
        os.write(_screen, f"{how} before it began; nothing was lost\n".encode())
    os._exit(_STATUS[signal.Signals(number)])


def _raise(number: int, frame: FrameType | None) -> None:
    global _came
    _came = number
    raise _EXCEPTIONS[number]


@contextlib.contextmanager
def _quiet_when_lost() -> Iterator[None]:
    """Leaves out what Python prints of errors that nobody catches, once a signal has come: it is the signal's."""
    names = ("excepthook", "unraisablehook")
    before = {name: getattr(sys, name) for name in names}

    def unless_stopped(hook: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *found: None if _came is not None else hook(*found)

    for name, hook in before.items():
        setattr(sys, name, unless_stopped(hook))
    try:
        yield
    finally:
        for name, hook in before.items():
            setattr(sys, name, hook)
