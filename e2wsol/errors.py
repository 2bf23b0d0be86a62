"""The exceptions that reach a user as a single line."""


class UserError(Exception):
    """Something the user gave is wrong: a flag, a file, a folder, a value.

    The message is one line that names the file or flag, the value that was found and what would
    be right. Commands print it without a traceback and exit with status 2.
    """


class WorkerLostError(Exception):
    """Another worker ended or stopped answering, so this one cannot go on; started again, all can.

    Commands print the message as one line and exit with status 75 (EX_TEMPFAIL of sysexits.h: try again).
    """


def choose(value, choices, flag):
    """Returns `value` when it is one of `choices`, else raises a UserError that lists them."""
    if value not in choices:
        raise UserError(f"--{flag}={value}: unknown; choose one of {', '.join(sorted(choices))}")
    return value
