"""Finding a flagfile by its path, or by the name of one that comes with the library.

`--flagfile=flags/bas_vgg16.cfg` and `--flagfile=bas_vgg16` mean the released settings in any folder: a file
of that path comes first, then one of the library's.
"""

import difflib
import os
import pathlib

import e2wsol

SUFFIX = ".cfg"
_FOLDER = "flags"


def folder() -> pathlib.Path:
    """Where the library's flagfiles are: `flags` of a checkout, `e2wsol/flags` of an installed package."""
    package = pathlib.Path(e2wsol.__file__).resolve().parent
    installed = package / _FOLDER
    return installed if installed.is_dir() else package.parent / _FOLDER


def find(name: str) -> str:
    """The path of the flagfile that `name` means; `name` itself where there is none."""
    path = pathlib.PurePath(name)
    if os.path.isfile(name) or not path.parts or path.is_absolute() or ".." in path.parts:
        return name
    inside = pathlib.PurePath(*path.parts[1:]) if path.parts[0] == _FOLDER and len(path.parts) > 1 else path
    inside = inside if inside.suffix == SUFFIX else inside.with_name(inside.name + SUFFIX)
    file = folder() / inside
    return str(file) if os.path.isfile(file) else name


def names() -> list[str]:
    """The library's flagfiles, as `find` takes them: `bas_vgg16`, `study/methods/cam`."""
    return sorted(file.relative_to(folder()).with_suffix("").as_posix() for file in folder().rglob(f"*{SUFFIX}"))


def near(name: str) -> str:
    """What an error adds of a flagfile that was not found: "; near ones: bas_vgg16, ..." or nothing."""
    wanted = name.removeprefix(f"{_FOLDER}/").removesuffix(SUFFIX)
    found = difflib.get_close_matches(wanted, names(), n=5)
    return f"; near ones of the library: {', '.join(found)}" if found else ""
