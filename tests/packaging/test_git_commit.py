"""A run records the commit of its own source, never that of a repository that happens to surround it."""

import re
import subprocess

import pytest

from e2wsol.training import run_folder


class Repository:
    """A git repository in a folder."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.git("init", "--quiet")

    def git(self, *arguments):
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, *files):
        for file in files:
            self.git("add", "--force", str(file))
        self.git("commit", "--quiet", "--message=x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def no_other_repository(monkeypatch, tmp_path):
    """As under a git hook, git's variables would name another one; and one may surround the temporary folder."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def package_in(folder, monkeypatch):
    """Makes `folder` the one that run_folder.py was imported from; returns that file."""
    source = folder / "e2wsol" / "training" / "run_folder.py"
    source.parent.mkdir(parents=True)
    source.write_text("code\n")
    monkeypatch.setattr(run_folder, "__file__", str(source))
    return source


def test_of_a_checkout(tmp_path, monkeypatch):
    source = package_in(tmp_path / "checkout", monkeypatch)
    checkout = Repository(tmp_path / "checkout")
    commit = checkout.commit(source)
    assert re.fullmatch("[0-9a-f]{40,64}", commit) and run_folder.git_commit() == commit
    (checkout.folder / "notes.txt").write_text("untracked")
    assert run_folder.git_commit() == commit
    source.write_text("other code\n")
    assert run_folder.git_commit() == f"{commit}+changes"


def test_a_checkout_under_another_name(tmp_path, monkeypatch):
    source = package_in(tmp_path / "checkout", monkeypatch)
    commit = Repository(tmp_path / "checkout").commit(source)
    (tmp_path / "link").symlink_to(tmp_path / "checkout")
    monkeypatch.setattr(run_folder, "__file__", str(tmp_path / "link" / "e2wsol" / "training" / "run_folder.py"))
    assert run_folder.git_commit() == commit


@pytest.mark.parametrize("tracked", [False, True])
def test_not_of_a_repository_around_an_environment(tmp_path, monkeypatch, tracked):
    around = Repository(tmp_path / "project")
    source = package_in(around.folder / ".venv" / "lib" / "python3.11" / "site-packages", monkeypatch)
    (around.folder / "analysis.py").touch()
    around.commit(around.folder / "analysis.py", *[source] * tracked)
    assert run_folder.git_commit() is None


def test_not_of_a_repository_that_it_was_installed_into(tmp_path, monkeypatch):
    """`pip install --target=.` puts the package beside the .git of the user's own repository."""
    project = Repository(tmp_path / "project")
    (project.folder / "setup.py").touch()
    project.commit(project.folder / "setup.py")
    package_in(project.folder, monkeypatch)
    assert run_folder.git_commit() is None


def test_none_without_a_repository_or_a_commit_or_git(tmp_path, monkeypatch):
    source = package_in(tmp_path / "folder", monkeypatch)
    assert run_folder.git_commit() is None
    repository = Repository(tmp_path / "folder")
    repository.git("add", str(source))
    assert run_folder.git_commit() is None
    repository.commit()
    assert run_folder.git_commit()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_folder.git_commit() is None
