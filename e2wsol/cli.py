"""How every command starts and ends: flags in, one-line errors out."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from e2wsol import config, stop_signals
from e2wsol.errors import ArgumentError, UserError, WorkerLostError

EXIT_USER_ERROR = 2
EXIT_TRY_AGAIN = 75
_STORAGE_ERRORS = (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EACCES)


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

    A UserError, or an OSError about a full or unwritable disk, ends as one line on standard error
    and exit status 2, a worker that was lost with status 75, SIGTERM with 4 and Ctrl-C with 130, a line each; anything
    else is a bug and keeps its traceback.
    """
    try:
        with stop_signals.raised():
            argv = complete(sys.argv) if complete else sys.argv
            values: Any
            values, positional, help_text = config.parse(argv, flags)
            if help_text:
                print(description or main.__doc__ or "", help_text, sep="\n")
                sys.exit(0)
            status = main(values, positional)
    except UserError as error:
        fail(in_flags(error, flags))
    except WorkerLostError as error:
        _leave(error)
    except OSError as error:
        if error.errno not in _STORAGE_ERRORS:
            raise
        fail(f"{error.filename or 'writing'}: {os.strerror(error.errno)}")
    except KeyboardInterrupt as error:
        line, status = stop_signals.ended_by(error)
        print(line, file=sys.stderr)
    sys.exit(status or 0)


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
    _say(message)
    sys.exit(EXIT_USER_ERROR)


def _leave(message: object) -> NoReturn:
    """The same with status 75 and at once: TensorFlow's way out waits seconds for the worker that is gone."""
    _say(message)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_TRY_AGAIN)


def _say(message: object) -> None:
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
