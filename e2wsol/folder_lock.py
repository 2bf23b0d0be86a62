"""One process at a time writes in a folder: a lock that no killed process leaves shut, and that names its holder.

The lock is a file in the folder, which goes when the work is done. On one machine, and on shared disks that know flock
(NFS from version 4, Lustre with -o flock), the system itself holds it, until the process ends in whatever way. For
other disks, and for machines that vanish, the file is a lease as well: its holder writes it anew every ten seconds, and
another machine takes it over only after 45 seconds in which it did not change. No clocks are compared.
"""

import contextlib
import dataclasses
import errno
import fcntl
import itertools
import json
import os
import pathlib
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator

from e2wsol import files, terminal
from e2wsol.errors import ArgumentError, UserError

_NAME = ".e2wsol{}.lock"
_REFRESH = 10.0  # seconds between two signs of life
_FIRST_REFRESH = 2.0  # soon: of two machines that start at once without flock, one has to give way
_LEASE = 45.0  # seconds without one after which a holder on another machine counts as dead
_NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_TRIES = 100
_LOST = 2  # exit status of a process whose lock another one has taken


@dataclasses.dataclass(frozen=True)
class Holder:
    """What the file says of the process that holds the lock.

    Attributes:
      command: as it was called.
      pid: its number on its machine.
      started: when it started, in clock ticks of its machine.
      host: name of the machine.
      boot: what the machine's system calls its present run.
      since: when it took the lock, seconds since 1970.
      token: of this lock alone.
      beat: number of the sign of life.
    """

    command: str
    pid: int
    started: str
    host: str
    boot: str
    since: float
    token: str
    beat: int = 0

    def __str__(self) -> str:
        since = time.localtime(self.since)
        today = time.strftime("%F", since) == time.strftime("%F")
        who = f"{self.command}, process {self.pid} on host {self.host} since {time.strftime('%H:%M', since)}"
        who += "" if today else time.strftime(" of %F", since)
        return f"what is left of {who}, which was killed" if self.is_here and not self.lives else who

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, under this very system."""
        return self.boot == _boot()

    @property
    def lives(self) -> bool:
        """Whether the process is there; only on its machine."""
        return _started(self.pid) == self.started


@contextlib.contextmanager
def held(folder: str | os.PathLike, argument: str, *, of: str = "") -> Iterator[int]:
    """Holds the lock of a folder, which is made where it is missing and goes again where it stays empty.

    Args:
      folder: its path.
      argument: the caller's argument that names it, for messages.
      of: what it is the lock of, where several things of a folder have one each, such as "evaluate".

    Yields:
      The open file's descriptor: a process that gets it (subprocess's pass_fds) keeps the lock shut until it ends, too.

    Raises:
      ArgumentError: another process holds the lock, or the folder is none.

    Example:
      >>> with held("runs/x", "run_dir"):
      ...     with held("runs/x", "run_dir"):
      ...         pass
      Traceback (most recent call last):
      e2wsol.errors.ArgumentError: run_dir=runs/x: in use by python -m e2wsol.train, process 9 on host a since 06:31;...
    """
    path = pathlib.Path(folder) / _NAME.format(f"-{of}" if of else "")
    lock = _Lock(path, argument)
    try:
        with lock:
            yield lock.descriptor
    finally:
        for each in reversed(lock.made):
            with contextlib.suppress(OSError):  # it is not empty, or another process was faster
                each.rmdir()


def is_lock(path: pathlib.Path) -> bool:
    """Whether a file is a lock of this module, by its name."""
    return path.name.startswith(".e2wsol") and path.suffix == ".lock"


class _Lock:
    def __init__(self, path: pathlib.Path, argument: str):
        self.path, self._argument = path, argument
        pid, host, boot = os.getpid(), socket.gethostname(), _boot()
        self._holder = Holder(_command(), pid, _started(pid), host, boot, time.time(), secrets.token_hex(8))
        self.made: list[pathlib.Path] = []  # folders
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="e2wsol-lock", daemon=True)

    def __enter__(self) -> "_Lock":
        self.descriptor = self._opened()
        try:
            self._take()
            self._sign()
        except BaseException:
            os.close(self.descriptor)
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        found = _read(self.path)
        if found and found.token == self._holder.token:
            self.path.unlink(missing_ok=True)  # while it is held: nobody else has it yet
        os.close(self.descriptor)

    def _opened(self) -> int:
        for left in reversed(range(_TRIES)):
            try:
                self._make_folder()
                return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # the process before has just removed the folder, which was empty
                if not left:
                    raise
            except (FileExistsError, NotADirectoryError):
                raise ArgumentError(self._argument, self.path.parent, "is no folder; give a folder") from None
        raise AssertionError

    def _make_folder(self) -> None:
        for folder in (*reversed(self.path.parent.parents), self.path.parent):
            if not folder.is_dir():
                try:
                    folder.mkdir()
                    self.made.append(folder)
                except FileExistsError:
                    if not folder.is_dir():  # else another process was faster
                        raise

    def _take(self) -> None:
        """Locks the file, and asks what it says where the system cannot know."""
        by_system = self._locked()
        while not self._is_in_place():  # its holder ended, and removed it, between our opening it and our locking it
            os.close(self.descriptor)
            self.descriptor = self._opened()
            by_system = self._locked()
        holder = _read(self.path)
        if holder is None:
            return
        if holder.is_here and (by_system or not holder.lives):
            return
        if holder.is_here or _beats(self.path, holder):
            raise self._refusal(holder)

    def _locked(self) -> bool:
        """Locks the file; False where the file system has no locks."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(_settled(self.path)) from None
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            return False
        return True

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _refusal(self, holder: Holder | None) -> ArgumentError:
        who = holder or "another process"
        problem = f"in use by {who}; wait for its end, stop it, or give another folder"
        return ArgumentError(self._argument, self.path.parent, problem)

    def _sign(self) -> None:
        """Writes the holder into the file, which is locked; removes it where the disk is full."""
        try:
            with files.naming(self.path):
                self._write(self._holder)
        except OSError:
            self.path.unlink(missing_ok=True)
            raise

    def _write(self, holder: Holder) -> None:
        data = (json.dumps(dataclasses.asdict(holder)) + "\n").encode()
        os.pwrite(self.descriptor, data, 0)
        os.ftruncate(self.descriptor, len(data))
        os.fsync(self.descriptor)

    def _refresh(self) -> None:
        """Says every so often that this process lives, and ends it where another one has taken the lock meanwhile."""
        pause = _FIRST_REFRESH
        for beat in itertools.count(1):
            if self._ended.wait(pause):
                return
            pause = _REFRESH
            with contextlib.suppress(OSError):  # a full disk, or a network that is away: the next sign may come through
                found = _read(self.path)
                if found and found.token != self._holder.token:
                    terminal.note(f"error: {self._refusal(found)}; this process has lost the lock and ends")
                    os._exit(_LOST)
                self._write(dataclasses.replace(self._holder, beat=beat))


def _read(path: pathlib.Path) -> Holder | None:
    """What the file says; None where it is empty, half written or gone."""
    try:
        return Holder(**json.loads(files.read_text(path)))
    except (FileNotFoundError, UserError, ValueError, TypeError):
        return None


def _settled(path: pathlib.Path) -> Holder | None:
    """What the file says as soon as it says something, which its holder writes at once."""
    for _ in range(20):
        if found := _read(path):
            return found
        time.sleep(0.05)
    return None


def _beats(path: pathlib.Path, holder: Holder) -> bool:
    """Whether a holder on another machine shows a sign of life before its lease ends."""
    terminal.note(f"{path}: of {holder}; waiting {_LEASE:g} seconds at most for a sign of its life")
    deadline = time.monotonic() + _LEASE
    while time.monotonic() < deadline:
        time.sleep(min(1.0, _LEASE / 10))
        found = _read(path)
        if found is None:
            if not path.exists():
                return False
        elif found != holder:
            return True
    return False


def _command() -> str:
    """How this process was called, without its flags."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return f"python -m {spec.name.removesuffix('.__main__')}" if spec else os.path.basename(sys.argv[0] or "python")


def _boot() -> str:
    """A name for the present run of this machine's system."""
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return socket.gethostname()


def _started(pid: int) -> str:
    """When a process started, in a form that tells it from a later one of the same number; "" where it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
