"""Holds the library against the parity kit: `python tests/parity/check.py FOLDER [--strict] [--converted]`.

Every case.json at any depth under FOLDER is one line of output with the errors that were measured.
A case of kind or method X is checked by the module X_cases.py beside this file, whose function
check(case, arrays) returns a Report; without that module the case is listed as missing. With --converted the
weights take the way of a released file: written as the case's authors write them, read by e2wsol.convert.

Exit status: 0 all passed; 1 a case failed, or with --strict something is missing; 2 a bad argument.
"""

import argparse
import importlib
import os
import pathlib
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
# The same kernels on every processor: oneDNN's, usual on those with AVX-512, sum more coarsely (docs/performance.md).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import kit  # noqa: E402
from converted import through_the_command  # noqa: E402
from report import Report  # noqa: E402

import e2wsol.quiet_tensorflow  # noqa: E402, F401


def main(arguments=None):
    """Checks all cases of the folder and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder with cases of the parity kit at any depth")
    parser.add_argument("--strict", action="store_true", help="fail when a method or protocol does not exist yet")
    parser.add_argument("--converted", action="store_true", help="bring the weights in through e2wsol.convert")
    options = parser.parse_args(arguments)
    kit.through = through_the_command if options.converted else None
    if not os.path.isdir(options.folder):
        return _usage(f"{options.folder}: no such folder; give one that holds parity cases")
    case_folders = kit.find_cases(options.folder)
    if not case_folders:
        return _usage(f"{options.folder}: holds no case.json; give a folder of parity cases")
    reports = []
    for case_folder in case_folders:
        reports.append(check_case(case_folder))
        reports[-1].name = os.path.relpath(case_folder.resolve(), pathlib.Path(options.folder).resolve().parent)
        print(reports[-1].line(), flush=True)
    failed = any(report.failed for report in reports)
    missing = options.strict and any(report.missing for report in reports)
    return 1 if failed or missing else 0


def check_case(case_folder):
    """Returns the report of one case; what goes wrong in it is a failure of this case alone."""
    report = Report()
    try:
        case, arrays = kit.load(case_folder)
        subject = case.get("kind") or case.get("method") or case_folder.name
        if f"{subject}_cases.py" not in os.listdir(HERE):
            report.miss(subject)
            return report
        report = importlib.import_module(f"{subject}_cases").check(case, arrays)
    except Exception as error:  # the run goes on to the next case; the traceback is on standard error
        traceback.print_exc()
        report.fault(f"{type(error).__name__}: {error}")
    return report


def _usage(message):
    print("error: " + message, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
