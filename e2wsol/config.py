"""Frozen option dataclasses, and the absl flags made from them.

Options live as frozen dataclasses beside the code that reads them; a command lists the dataclasses
it needs and gets one filled instance of each. So every default and every help text is written once,
and library code never sees a flag.
"""

import dataclasses
import re
import typing

from absl import flags

from e2wsol.errors import UserError

_SCALAR_FLAGS = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}
_TOO_LARGE = 2**63  # for what reads the numbers: tensors hold no larger whole ones
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def option(default, text, *, choices=None, minimum=None, maximum=None):
    """A dataclass field that becomes a flag with this default, help text and bounds."""
    metadata = {"help": text, "choices": choices, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata=metadata)


def flag_name(field):
    """The flag of a dataclass field; one whose name is a word of Python has a field with an underscore behind it."""
    return field.name.rstrip("_")


def define_flags(option_classes, flag_values):
    """Defines one flag in `flag_values` for each field of the option dataclasses."""
    for option_class in option_classes:
        hints = typing.get_type_hints(option_class)
        for field in dataclasses.fields(option_class):
            _define(field, hints[field.name], flag_values)


def _define(field, hint, flag_values):
    text = field.metadata["help"]
    if typing.get_origin(hint) is tuple:
        default = [str(item) for item in field.default]
        flags.DEFINE_list(flag_name(field), default, text, flag_values=flag_values)
    else:
        _SCALAR_FLAGS[hint](flag_name(field), field.default, text, flag_values=flag_values)


def from_mapping(option_class, values):
    """Builds `option_class` from the entries of `values` that it has; others are ignored.

    Args:
      values: mapping from flag name to a value or, for tuples, to a sequence of items or strings.

    Raises:
      UserError: a value has the wrong type, is no valid choice or out of bounds.
    """
    hints = typing.get_type_hints(option_class)
    known = {}
    for field in dataclasses.fields(option_class):
        if flag_name(field) in values:
            known[field.name] = _convert(field, hints[field.name], values[flag_name(field)])
    return option_class(**known)


def _convert(field, hint, value):
    if typing.get_origin(hint) is tuple:
        items = tuple(_scalar(field, typing.get_args(hint)[0], item) for item in value)
        for item in items:
            _check(field, item)
        return items
    value = _scalar(field, hint, value)
    _check(field, value)
    return value


def _scalar(field, kind, value):
    try:
        number = kind(value)
        if kind in (int, float) and not abs(number) < _TOO_LARGE:  # NaN is not either
            raise ValueError
        return number
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"--{flag_name(field)}={value}: expected {_EXPECTED[kind]}") from None


def _check(field, value):
    choices, low, high = (field.metadata[key] for key in ("choices", "minimum", "maximum"))
    if choices is not None and value not in choices:
        raise UserError(f"--{flag_name(field)}={value}: unknown; choose one of {', '.join(map(str, choices))}")
    if low is not None and not value >= low:  # NaN is neither
        raise UserError(f"--{flag_name(field)}={value}: must be at least {low}")
    if high is not None and not value <= high:
        raise UserError(f"--{flag_name(field)}={value}: must be at most {high}")


def to_mapping(*instances):
    """One flat, JSON-ready mapping of all fields of the given option instances."""
    merged = {}
    for instance in instances:
        merged.update(dataclasses.asdict(instance))
    return {name: list(value) if isinstance(value, tuple) else value for name, value in merged.items()}


def parse(argv, option_classes):
    """Parses a command line, flagfiles included.

    Args:
      argv: full argument list, program name first.
      option_classes: the dataclasses whose fields are the command's flags.

    Returns:
      (list of filled instances in the order of `option_classes`, list of positional arguments,
      help text or None when --help was not given).

    Raises:
      UserError: unknown flag, wrong type, bad choice, missing flagfile.
    """
    flag_values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "show this help", flag_values=flag_values, short_name="h")
    flags.DEFINE_string("flagfile", "", "read flags from this file", flag_values=flag_values)
    define_flags(option_classes, flag_values)
    try:
        positional = flag_values(list(argv))[1:]
    except flags.Error as error:
        raise UserError(_explain(error, option_classes)) from None
    except ValueError as error:  # of a flagfile that is no text, or a name that no file can have
        raise UserError(_no_text(error)) from None
    values = flag_values.flag_values_dict()
    instances = [from_mapping(option_class, values) for option_class in option_classes]
    return instances, positional, flag_values.get_help() if values["help"] else None


def without_flagfiles(arguments):
    """A command's flags, those of its flagfiles in the flagfiles' places.

    Raises:
      UserError: missing flagfile, or one that is no text.
    """
    try:
        return flags.FlagValues().read_flags_from_files(list(arguments), force_gnu=True)
    except flags.Error as error:
        raise UserError(_explain(error, ())) from None
    except ValueError as error:
        raise UserError(_no_text(error)) from None


def _no_text(error):
    return f"--flagfile: cannot be read as UTF-8 text ({error})"


def _explain(error, option_classes):
    """Our words for what absl says of a command line."""
    illegal = re.match(r"flag --(\w+)=(.*?): ", str(error), re.DOTALL)
    if illegal:
        name, value = illegal.groups()
        hints = {
            key: hint for option_class in option_classes for key, hint in typing.get_type_hints(option_class).items()
        }
        return f"--{name}={value}: expected {_EXPECTED[hints.get(name, bool)]}"
    if isinstance(error, flags.CantOpenFlagFileError) and isinstance(error.__context__, OSError):
        return f"--flagfile={error.__context__.filename}: {error.__context__.strerror}"
    return " ".join(str(error).split())
