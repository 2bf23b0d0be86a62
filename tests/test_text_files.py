"""Text files as editors leave them: with a byte order mark, with CRLF, or not in UTF-8."""

import ast
import json
import pathlib

import pytest
from visualize import made_up

import e2wsol
from e2wsol import config, report
from e2wsol.data import bad_records, dataset
from e2wsol.errors import UserError
from e2wsol.evaluation.predicted_classes import PredictedClasses
from e2wsol.prediction import saved_model
from e2wsol.studies import papers
from e2wsol.training import checkpoints
from e2wsol.training.run_folder import RunFolder
from e2wsol.visualize import results

PACKAGE = pathlib.Path(e2wsol.__file__).parent
JSONL = '{"picture": "mö/0.jpg", "classes": [2, 0]}\n{"picture": "b", "classes": [1]}\n'
METRICS = '{"kind": "epoch", "step": 4}\n'


def classes(file):
    found = PredictedClasses(file, 3)
    return found.of("mö/0.jpg").tolist(), found.of("b").tolist()


def unfinished(file):
    (file.parent / "flags.json").write_text(json.dumps({"flags": {"epochs": 3}}))
    return RunFolder(file.parent).unfinished()


def flags(file):
    return config.parse(["x", f"--flagfile={file}"], report.ReportOptions)[0]


def document(**entries):
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


# name of the file: its text, how it is read
KINDS = {
    "a.cfg": ("--run_dir=mö\n# a comment\n--pictures=3\n", flags),
    "a.csv": ("mö/0.jpg,2,0\nb,1\n", classes),
    "a.jsonl": (JSONL, classes),
    "dataset.json": (document(format=dataset.FORMAT, classes=["mö"]), dataset.read_document),
    "result.json": (json.dumps(made_up.result(), indent=1), results.load_result),
    "flags.json": (document(flags={"method": "mö"}), lambda p: RunFolder(p.parent).flags()),
    "metrics.jsonl": (METRICS, unfinished),
    "state.json": (document(step=4), lambda p: checkpoints.read_state(p.parent)),
    "bad_records.json": (document(sha={"test": [{"file": "mö"}]}), lambda p: bad_records.read(p.parent, "sha")),
    "e2wsol.json": (document(protocol="bas", classes=["mö"]), lambda p: saved_model.read_record(p.parent)),
    "papers.csv": (papers.PATH.read_text(encoding="utf-8"), papers.load),
}


@pytest.mark.parametrize("name", KINDS)
def test_mark_and_crlf_change_nothing(tmp_path, name):
    text, read = KINDS[name]
    file, found = tmp_path / name, []
    for mark, ends in ((b"", "\n"), (b"\xef\xbb\xbf", "\n"), (b"", "\r\n"), (b"\xef\xbb\xbf", "\r\n")):
        file.write_bytes(mark + text.replace("\n", ends).encode("utf-8"))
        found.append(read(file))
    assert found[0] and found == [found[0]] * 4


@pytest.mark.parametrize("name", KINDS)
def test_other_encodings_are_named_in_one_line(tmp_path, name):
    text, read = KINDS[name]
    file = tmp_path / name
    for data in (text.encode("utf-16"), b"\xff" + text.encode()):
        file.write_bytes(data)
        with pytest.raises(UserError, match="cannot be read as UTF-8 text") as caught:
            read(file)
        assert str(caught.value).startswith(f"{file}: ") and "\n" not in str(caught.value)


def test_a_flagfile_in_a_flagfile(tmp_path):
    (tmp_path / "inner.cfg").write_bytes(b"\xef\xbb\xbf--pictures=3\r\n")
    (tmp_path / "a.cfg").write_bytes(b"\xef\xbb\xbf--flagfile=" + str(tmp_path / "inner.cfg").encode() + b"\r\n")
    assert config.parse(["x", f"--flagfile={tmp_path / 'a.cfg'}"], report.ReportOptions)[0].pictures == 3
    (tmp_path / "inner.cfg").write_text(f"--flagfile={tmp_path / 'a.cfg'}\n--pictures=4\n")  # in a circle
    assert config.without_flagfiles([f"--flagfile={tmp_path / 'a.cfg'}"]) == ["--pictures=4"]


def reads_text(call):
    """Whether a call in the code opens a file as text to read it."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name == "read_text":
        return getattr(call.func, "value", None) is None or getattr(call.func.value, "id", "") != "files"
    mode = next((each.value for each in call.args[1:2] if isinstance(each, ast.Constant)), "r")
    return isinstance(call.func, ast.Name) and name == "open" and not set(mode) & set("bwax")


def test_text_is_read_in_one_place():
    """Keras' own settings are read as Keras does, which takes no mark; modules of ours and the system's files in /proc
    have none; `terminal` opens streams."""
    others = {PACKAGE / f"{name}.py" for name in ("installed_keras", "__main__", "folder_lock", "terminal")}
    found = {
        path
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and reads_text(call)
    }
    assert found == others
