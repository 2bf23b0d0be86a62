"""One command for all: `e2wsol train ...` is `python -m e2wsol.train ...`."""

import ast
import difflib
import importlib.util
import pathlib
import runpy
import sys

import e2wsol
from e2wsol import cli

COMMANDS = {
    "build": "tfrecords.build",
    "train": "e2wsol.train",
    "evaluate": "e2wsol.evaluate",
    "predict": "e2wsol.predict",
    "report": "e2wsol.report",
    "export": "e2wsol.export",
    "convert": "e2wsol.convert",
    "classify": "e2wsol.classify",
    "pseudo-masks": "e2wsol.pseudo_masks",
    "study": "e2wsol.study",
    "data-service": "e2wsol.data_service",
}


def main() -> None:
    """Runs the command that the first argument names, with the others."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        print(usage())
    elif name == "--version":
        print(f"e2wsol {e2wsol.__version__}")
    else:
        module = find(name)
        sys.argv[1:] = arguments
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def find(name: str) -> str:
    """The module of a command; ends with one line and status 2 where there is none."""
    wanted = name.replace("_", "-")
    if wanted not in COMMANDS:
        near = difflib.get_close_matches(wanted, COMMANDS, cutoff=0.5) or COMMANDS
        cli.fail(f"{name}: no such command; choose one of {', '.join(near)}")
    return COMMANDS[wanted]


def usage() -> str:
    """All commands with the first line of each one's description, which is read without importing TensorFlow."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {_summary(module)}" for name, module in COMMANDS.items()]
    head = "usage: e2wsol COMMAND [--FLAG=VALUE ...]; the flags of one: e2wsol COMMAND --help"
    return "\n".join([(e2wsol.__doc__ or "").partition("\n")[0], "", head, "", *lines])


def _summary(module: str) -> str:
    spec = importlib.util.find_spec(module)
    source = pathlib.Path(spec.origin if spec and spec.origin else "").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


if __name__ == "__main__":
    main()
