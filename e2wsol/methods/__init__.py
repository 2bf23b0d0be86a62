"""Localization methods behind one contract (see base.Method).

Every module of this folder is imported, and what it registers is known by its key: a new method is one new file.
"""

import e2wsol.installed_keras  # noqa: F401  # isort: skip

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any

from e2wsol.backbones import BackboneOptions
from e2wsol.config import option
from e2wsol.errors import choose
from e2wsol.methods.base import METHODS, Method

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["METHODS", "AllOptions", "Method", "MethodOptions", "create"]


@dataclasses.dataclass(frozen=True)
class MethodOptions:
    """Which localization method."""

    method: str = option("e2net", "localization method", choices=tuple(METHODS))


# The options of all methods, each class once, for a command's flags.
AllOptions = dataclasses.make_dataclass(
    "AllOptions",
    [
        (options.__name__, options)
        for options in dict.fromkeys(method.Options for method in METHODS.values())
        if dataclasses.fields(options)
    ],
    frozen=True,
)


def create(
    name: str,
    *,
    backbone: str | BackboneOptions,
    image_size: int,
    num_classes: int,
    options: Iterable[Any] = (),
    **settings: Any,
) -> Method:
    """Builds the method called `name`.

    Args:
      name: a key of METHODS.
      backbone: BackboneOptions, or the name of one.
      image_size: side of the square input, pixels.
      num_classes: number of classes.
      options: option instances of any methods; the one that this method declares is used, defaults
        when there is none.
      settings: further arguments of Method.

    Raises:
      UserError: unknown method, backbone or end point.
    """
    method = METHODS[choose(name, METHODS, "method")]
    own = next((instance for instance in options if isinstance(instance, method.Options)), None)
    return method(backbone=backbone, image_size=image_size, num_classes=num_classes, options=own, **settings)
