"""Frozen option dataclasses, and the absl flags made from them.

Options live as frozen dataclasses beside the code that reads them. A command declares one dataclass of
its flags, whose fields are such option dataclasses (or dataclasses of them), and gets one filled
instance of it. So every default and every help text is written once, and library code never sees a flag.
"""

import dataclasses
import functools
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from absl import flags

from e2wsol import files, flagfiles
from e2wsol.errors import ArgumentError, UserError

_Options = TypeVar("_Options")
_SCALAR_FLAGS = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}
_TOO_LARGE = 2**63  # for what reads the numbers: tensors hold no larger whole ones
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def option(
    default: Any,
    text: str,
    *,
    choices: Sequence | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    flag: str | None = None,
    aliases: Sequence[str] = (),
) -> Any:
    """A dataclass field that becomes a flag.

    Args:
      default: its default; a tuple makes a flag of comma-separated items.
      text: help text.
      choices: valid values, or items of a tuple.
      minimum: least value, or least item of a tuple.
      maximum: greatest one.
      flag: the flag's name; None for the class's `flag_prefix` and the field's name.
      aliases: further names of the flag, such as the one that it had before.
    """
    metadata = {"help": text, "choices": choices, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata={**metadata, "flag": flag, "aliases": tuple(aliases)})


def flag_name(option_class: Any, field: dataclasses.Field) -> str:
    """The flag of a field: its class's `flag_prefix`, if any, and its name without a last underscore (`from_`)."""
    return field.metadata["flag"] or getattr(option_class, "flag_prefix", "") + field.name.rstrip("_")


def option_classes(group: type) -> Iterator[type]:
    """The option dataclasses in a dataclass of flags, groups within it included, in order; each once."""
    seen: dict[type, None] = {}
    for kind in _types(group).values():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            seen.update(dict.fromkeys(option_classes(kind)))
    yield from seen or [group]


def fields(group: type) -> Iterator[tuple[type, dataclasses.Field]]:
    """All (option dataclass, field) in a dataclass of flags."""
    for option_class in option_classes(group):
        for field in dataclasses.fields(option_class):
            yield option_class, field


def define_flags(group: type, flag_values: flags.FlagValues) -> None:
    """Defines the flags of a dataclass of flags, and their aliases, in `flag_values`."""
    for option_class, field in fields(group):
        hint, name = _types(option_class)[field.name], flag_name(option_class, field)
        if typing.get_origin(hint) is tuple:
            default = [str(item) for item in typing.cast(tuple, field.default)]
            flags.DEFINE_list(name, default, field.metadata["help"], flag_values=flag_values)
        else:
            define: Any = _SCALAR_FLAGS[hint]
            define(name, field.default, field.metadata["help"], flag_values=flag_values)
        for alias in field.metadata["aliases"]:
            flags.DEFINE_alias(alias, name, flag_values=flag_values)


def from_mapping(kind: type[_Options], values: Mapping[str, Any]) -> _Options:
    """Builds an option dataclass, or a dataclass of them, from the entries of `values` that it has.

    Args:
      kind: the dataclass.
      values: mapping from a flag's name, or an alias of it, to a value or, for tuples, to a sequence of items or
        strings. Other entries are ignored.

    Raises:
      ArgumentError: a value has the wrong type, is no valid choice or out of bounds.
    """
    hints: dict[str, Any] = _types(typing.cast(Any, kind))
    known: dict[str, Any] = {}
    for field in _fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            known[field.name] = from_mapping(hints[field.name], values)
            continue
        name = next((each for each in _names(kind, field) if each in values), None)
        if name is not None:
            known[field.name] = _converted(kind, field, values[name])
    return kind(**known)


def from_arguments(option_class: type[_Options], values: Mapping[str, Any]) -> _Options:
    """Builds an option dataclass from keyword arguments, which have its fields' names.

    Raises:
      TypeError: an argument that it does not have.
      ArgumentError: as `from_mapping`.
    """
    by_name = {field.name: field for field in _fields(option_class)}
    for name in values:
        if name not in by_name:
            raise TypeError(f"unexpected argument {name!r}; {option_class.__name__} has {', '.join(by_name) or 'none'}")
    return option_class(**{name: _converted(option_class, by_name[name], value) for name, value in values.items()})


def to_mapping(*instances: Any) -> dict[str, Any]:
    """One flat, JSON-ready mapping from the flags' names to the values in option dataclasses, or in groups of them."""
    merged: dict[str, Any] = {}
    for instance in instances:
        for field in dataclasses.fields(instance):
            value = getattr(instance, field.name)
            if dataclasses.is_dataclass(value):
                merged.update(to_mapping(value))
            else:
                merged[flag_name(type(instance), field)] = list(value) if isinstance(value, tuple) else value
    return merged


def instances(group: Any) -> list[Any]:
    """The option instances in a filled dataclass of flags, in order."""
    values = [getattr(group, field.name) for field in dataclasses.fields(group)]
    nested = [value for value in values if dataclasses.is_dataclass(value)]
    return [each for value in nested for each in instances(value)] or [group]


def flags_of_arguments(group: type) -> dict[tuple[type | None, str], str]:
    """{(option dataclass, field): flag} of a dataclass of flags; under None the fields whose name alone says which."""
    found: dict[tuple[type | None, str], str] = {}
    flags_by_name: dict[str, set[str]] = {}
    for option_class, field in fields(group):
        name = flag_name(option_class, field)
        found[option_class, field.name] = name
        flags_by_name.setdefault(field.name, set()).add(name)
    return found | {(None, name): min(names) for name, names in flags_by_name.items() if len(names) == 1}


def parse(argv: Sequence[str], group: type[_Options]) -> tuple[_Options, list[str], str | None]:
    """Parses a command line, flagfiles included.

    Args:
      argv: full argument list, program name first.
      group: the dataclass of the command's flags.

    Returns:
      (filled instance of it, list of positional arguments, help text or None when --help was not given).

    Raises:
      UserError: unknown flag, wrong type, bad choice, missing flagfile.
    """
    flag_values = _FlagValues()
    flags.DEFINE_bool("help", False, "show this help", flag_values=flag_values, short_name="h")
    flags.DEFINE_string("flagfile", "", "read flags from this file", flag_values=flag_values)
    define_flags(group, flag_values)
    try:
        positional = flag_values(list(argv))[1:]
    except flags.Error as error:
        raise UserError(_explained(error, group)) from None
    except ValueError as error:  # of a flagfile that is no text, or a name that no file can have
        raise UserError(_no_text(error)) from None
    values = flag_values.flag_values_dict()
    return from_mapping(group, values), positional, flag_values.get_help() if values["help"] else None


def without_flagfiles(arguments: Sequence[str]) -> list[str]:
    """A command's flags, those of its flagfiles in the flagfiles' places.

    Raises:
      UserError: missing flagfile, or one that is no text.
    """
    try:
        return _FlagValues().read_flags_from_files(list(arguments), force_gnu=True)
    except flags.Error as error:
        raise UserError(_explained(error, None)) from None
    except ValueError as error:
        raise UserError(_no_text(error)) from None


class _FlagValues(flags.FlagValues):
    """absl's flags, whose flagfiles are UTF-8 and may be named as `flagfiles.find` reads names, nested ones too."""

    def _get_flag_file_lines(self, filename, parsed_file_stack=None):
        path, stack = flagfiles.find(filename), parsed_file_stack or ()
        if not path or path in stack:  # none given, or one that leads back to itself
            return []
        try:
            text = files.read_text(path)
        except OSError as error:
            raise flags.CantOpenFlagFileError(str(error)) from error
        lines = []
        for line in map(str.strip, text.splitlines()):
            if self._is_flag_file_directive(line):
                lines += self._get_flag_file_lines(self._extract_filename(line), (*stack, path))
            elif line and not line.startswith(("#", "//")):
                lines.append(line)
        return lines


@functools.cache
def _types(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _fields(option_class: Any) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(option_class)


def _names(option_class: Any, field: dataclasses.Field) -> tuple[str, ...]:
    return flag_name(option_class, field), *field.metadata["aliases"]


def _converted(option_class: Any, field: dataclasses.Field, value: Any) -> Any:
    hint = _types(option_class)[field.name]
    if typing.get_origin(hint) is tuple:
        items = (value,) if isinstance(value, str) else value
        return tuple(_checked(option_class, field, typing.get_args(hint)[0], item) for item in items)
    return _checked(option_class, field, hint, value)


def _checked(option_class: Any, field: dataclasses.Field, kind: type, value: Any) -> Any:
    try:
        converted = kind(value)
        if kind in (int, float) and not abs(converted) < _TOO_LARGE:  # NaN is not either
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(field.name, str(value), f"expected {_EXPECTED[kind]}", owner=option_class) from None
    problem = _problem(converted, *(field.metadata[key] for key in ("choices", "minimum", "maximum")))
    if problem:
        raise ArgumentError(field.name, converted, problem, owner=option_class)
    return converted


def _problem(value: Any, choices: Sequence | None, low: float | None, high: float | None) -> str | None:
    if choices is not None and value not in choices:
        return f"unknown; choose one of {', '.join(map(str, choices))}"
    if low is not None and not value >= low:  # NaN is neither
        return f"must be at least {low}"
    if high is not None and not value <= high:
        return f"must be at most {high}"
    return None


def _no_text(error: Exception) -> str:
    return f"--flagfile: cannot be read as UTF-8 text ({error})"


def _explained(error: flags.Error, group: type | None) -> str:
    """Our words for what absl says of a command line."""
    illegal = re.match(r"flag --(\w+)=(.*?): ", str(error), re.DOTALL)
    if illegal:
        name, value = illegal.groups()
        hints = {flag_name(kind, field): _types(kind)[field.name] for kind, field in fields(group)} if group else {}
        return f"--{name}={value}: expected {_EXPECTED[hints.get(name, bool)]}"
    if isinstance(error, flags.CantOpenFlagFileError) and isinstance(error.__context__, OSError):
        name = error.__context__.filename
        return f"--flagfile={name}: {error.__context__.strerror}{flagfiles.near(name)}"
    return " ".join(str(error).split())
