"""What the checker measured in one case, and whether it is within its bounds."""

import numpy as np


class AbsentError(Exception):
    """A case lacks an array that others of its method have."""

    def __init__(self, name):
        """The array called `name` is not there."""
        super().__init__(name)
        self.name = name


class Absent:
    """Stands for an array that a case lacks: only a Report takes it, any other use is an AbsentError."""

    def __init__(self, name):
        """The array called `name` is not there."""
        self._name = name

    def _refuse(self, *_, **__):
        raise AbsentError(self._name)

    __array__ = __getitem__ = __iter__ = __len__ = __float__ = __int__ = __bool__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __eq__ = __ne__ = _refuse
    __hash__ = object.__hash__

    def __getattr__(self, attribute):
        """Any other use."""
        raise AbsentError(self._name)


class Report:
    """Collects (quantity, error, bound); a quantity added again keeps its worst error.

    Errors are numbers >= 0; NaN counts as a failure. `missing` names what the case holds but the
    library does not implement yet, `absent` the arrays that the case lacks: neither fails the case.
    """

    def __init__(self, name=""):
        """A report of the case called `name`."""
        self.name = name
        self.measured = {}
        self.missing = []
        self.faults = []
        self.absent = []

    def part(self, check, *arguments, **options):
        """Runs a part of a check, check(report, ...), as far as the case has its arrays; returns what it returns."""
        try:
            return check(self, *arguments, **options)
        except AbsentError as error:
            self._note_absent(error.name)

    def _note_absent(self, name):
        if name not in self.absent:
            self.absent.append(name)

    def add(self, quantity, error, bound=0.0):
        """Records that `quantity` was off by `error` where `bound` is allowed."""
        error, bound = float(error), float(bound)
        if quantity not in self.measured or _badness(error, bound) > _badness(*self.measured[quantity]):
            self.measured[quantity] = (error, bound)

    def equal(self, quantity, ours, theirs):
        """Records how many entries of two arrays differ; another shape counts as all of them."""
        if isinstance(theirs, Absent):
            self._note_absent(theirs._name)
            return
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if ours.shape != theirs.shape:
            self.fault(f"{quantity}: shape {ours.shape}, expected {theirs.shape}")
        else:
            self.add(quantity, np.count_nonzero(ours != theirs))

    def close(self, quantity, ours, theirs, *, relative):
        """Records the largest difference as a share of the expected array's largest magnitude."""
        if isinstance(theirs, Absent):
            self._note_absent(theirs._name)
            return
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        if ours.shape != theirs.shape:
            self.fault(f"{quantity}: shape {ours.shape}, expected {theirs.shape}")
            return
        scale = np.max(np.abs(theirs), initial=0.0) or 1.0
        self.add(quantity, np.max(np.abs(ours - theirs), initial=0.0) / scale, relative)

    def fault(self, text):
        """Records a failure that is no number."""
        self.faults.append(text)

    def miss(self, part):
        """Records that `part` of the case is not implemented yet."""
        self.missing.append(part)

    @property
    def failed(self):
        """Whether a fault was recorded or an error exceeds its bound."""
        return bool(self.faults) or any(_badness(*pair) > 1 for pair in self.measured.values())

    @property
    def status(self):
        """PASS, FAIL, or MISSING when nothing of the case could be checked."""
        if self.failed:
            return "FAIL"
        return "PASS" if self.measured else "MISSING"

    def line(self):
        """The case as one line: status, name, every measured error, what is missing."""
        parts = [self.status, self.name]
        parts += [_format(quantity, *pair) for quantity, pair in self.measured.items()]
        parts += [f"[{fault}]" for fault in self.faults]
        if self.missing:
            parts.append("missing: " + ", ".join(self.missing))
        if self.absent:
            parts.append("absent from the case: " + ", ".join(self.absent))
        return " ".join(" ".join(parts).split())


def _badness(error, bound):
    if np.isnan(error):
        return np.inf
    if bound == 0.0:
        return np.inf if error > 0 else 0.0
    return error / bound


def _format(quantity, error, bound):
    text = f"{quantity}={error:.3g}"
    return f"{text}(bound {bound:.3g})" if _badness(error, bound) > 1 else text
