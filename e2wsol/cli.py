"""How every command starts and ends: flags in, one-line errors out."""

import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from e2wsol import config, errors, stop_signals, terminal
from e2wsol.errors import ArgumentError, UserError, WorkerLostError

EXIT_INTERNAL = 1
EXIT_USER_ERROR = 2
EXIT_TRY_AGAIN = 75


def run(
    main: Callable[..., int | None],
    flags: type[Any],
    *,
    description: str | None = None,
    complete: Callable[[list[str]], list[str]] | None = None,
) -> NoReturn:
    """Parses sys.argv, calls main(flags, positional) and exits with its status.

    Args:
      main: the command.
      flags: the dataclass of its flags, see e2wsol.config.
      description: what --help says first.
      complete: f(argv) -> argv with the flags that follow from those given.

    Every failure ends as one line on standard error. A UserError, and what the system or a file refuses (see
    `errors.of_system`), has exit status 2, a worker that was lost 75, SIGTERM 4 and Ctrl-C 130. Anything else is a
    fault of the program: the line says in which file the traceback is, and the exit status is 1.
    """
    with terminal.safe_streams():
        sys.exit(_status(main, flags, description, complete))


def _status(main: Any, flags: type[Any], description: str | None, complete: Any) -> int:
    try:
        with stop_signals.raised():
            argv = complete(sys.argv) if complete else sys.argv
            values: Any
            values, positional, help_text = config.parse(argv, flags)
            if help_text:
                terminal.say(*f"{description or main.__doc__ or ''}\n{help_text}".split("\n"))
                return 0
            _settle()
            status = main(values, positional) or 0
            sys.stdout.flush()
            return status
    except UserError as error:
        _say(in_flags(error, flags))
        return EXIT_USER_ERROR
    except WorkerLostError as error:
        _leave(error)
    except KeyboardInterrupt as error:
        line, status = stop_signals.ended_by(error)
        terminal.note(line)
        return status
    except Exception as error:
        return _report(error)


def _settle() -> None:
    """Makes Keras, where a command has imported it, compute as every command needs it."""
    if "keras" in sys.modules:
        from e2wsol import compute  # here, since not every command imports Keras

        for line in compute.settle():
            terminal.note(f"note: {line}")


def _report(error: Exception) -> int:
    """Says in one line what has failed and returns the exit status; the traceback is kept where the line is not all."""
    line = errors.of_system(error)
    if line is None:
        _say(f"internal error ({type(error).__name__}: {error}); {_kept_traceback(error)}")
        return EXIT_INTERNAL
    named = isinstance(error, OSError) and error.filename is not None
    _say(line if named else f"{line}; {_kept_traceback(error)}")
    return EXIT_USER_ERROR


def _kept_traceback(error: Exception) -> str:
    """Writes an error's traceback to a file of its own in the system's temporary folder; says where it is."""
    text = "".join(traceback.format_exception(error))
    try:
        number, name = tempfile.mkstemp(prefix="e2wsol-", suffix=".log")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{sys.argv}\n{text}")
    except OSError as cause:
        return f"its traceback cannot be written ({cause})"
    return f"the traceback is in {name}"


def in_flags(error: UserError, flags: type) -> str:
    """The message of an error, which names the flag where the error names the argument that it fills."""
    if not isinstance(error, ArgumentError):
        return str(error)
    names = config.flags_of_arguments(flags)
    flag = names.get((error.owner, error.argument)) or names.get((None, error.argument))
    return error.named(f"--{flag}") if flag else str(error)


def no_arguments(positional: list[str]) -> None:
    """Raises a UserError when a command whose settings are all flags was given anything else."""
    if positional:
        raise UserError(f"{positional[0]}: unexpected argument; all settings are flags (see --help)")


def fail(message: object) -> NoReturn:
    """Prints one error line and exits with status 2."""
    with terminal.safe_streams():
        _say(message)
    sys.exit(EXIT_USER_ERROR)


def for_command(check: Callable[[str], Any]) -> None:
    """Calls check(name of the command that is being started); its UserError ends the command with one line, status 2.

    Outside a command the UserError passes.
    """
    command = _command()
    if command:
        terminal.open_missing_streams()
    try:
        check(command or "this module")
    except UserError as error:
        if command:
            fail(error)
        raise


def _command() -> str:
    """Name of the command of this project that Python runs; empty where it runs something else."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    package, _, name = spec.name.partition(".") if spec else ("", "", "")
    return name if package in ("e2wsol", "tfrecords") else ""


def _leave(message: object) -> NoReturn:
    """The same with status 75 and at once: TensorFlow's way out waits seconds for the worker that is gone."""
    _say(message)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_TRY_AGAIN)


def _say(message: object) -> None:
    with contextlib.suppress(OSError):  # where standard error takes nothing, the exit status still tells
        terminal.note("error: " + terminal.one_line(message))
