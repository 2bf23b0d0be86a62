"""How every command starts and ends: flags in, one-line errors out."""

import errno
import os
import sys

from e2wsol import config
from e2wsol.errors import UserError, WorkerLostError

EXIT_USER_ERROR = 2
EXIT_TRY_AGAIN = 75
_STORAGE_ERRORS = (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EACCES)


def run(main, *option_classes, description=None, complete=None):
    """Parses sys.argv, calls main(*instances, positional) and exits with its status.

    Args:
      main: the command.
      option_classes: dataclasses of its flags.
      description: what --help says first.
      complete: f(argv) -> argv with the flags that follow from those given.

    A UserError, or an OSError about a full or unwritable disk, ends as one line on standard error
    and exit status 2, a worker that was lost with status 75; anything else is a bug and keeps its traceback.
    """
    try:
        argv = complete(sys.argv) if complete else sys.argv
        instances, positional, help_text = config.parse(argv, option_classes)
        if help_text:
            print(description or main.__doc__ or "", help_text, sep="\n")
            sys.exit(0)
        status = main(*instances, positional)
    except UserError as error:
        fail(error)
    except WorkerLostError as error:
        _leave(error)
    except OSError as error:
        if error.errno not in _STORAGE_ERRORS:
            raise
        fail(f"{error.filename or 'writing'}: {os.strerror(error.errno)}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(status or 0)


def no_arguments(positional):
    """Raises a UserError when a command whose settings are all flags was given anything else."""
    if positional:
        raise UserError(f"{positional[0]}: unexpected argument; all settings are flags (see --help)")


def fail(message):
    """Prints one error line and exits with status 2."""
    _say(message)
    sys.exit(EXIT_USER_ERROR)


def _leave(message):
    """The same with status 75 and at once: TensorFlow's way out waits seconds for the worker that is gone."""
    _say(message)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_TRY_AGAIN)


def _say(message):
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
