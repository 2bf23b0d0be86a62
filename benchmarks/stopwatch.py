"""Things that take turns, each in a process of its own: time by the clock, processors' time, peak memory.

A process holds one framework and one network, so neither another framework's threads nor its memory disturb.
"""

import contextlib
import multiprocessing
import os
import statistics
import sys
import time

# Else JAX takes three quarters of a GPU at its start, and no peak could be read.
_ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class Subject:
    """A process that holds one thing to be timed.

    Args:
      make: function at a module's top, called there with `arguments`; returns run(count), which does the thing
        `count` times and comes back when the device has done it all.
      arguments: to be pickled.
      backend: Keras backend of that process; None for the present one.
      threads: of TensorFlow or PyTorch on the processor; 0 for all cores.
      warm_up: how often it is run before anything is timed.
    """

    def __init__(self, make, arguments, *, backend=None, threads=0, warm_up=2):
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, arguments, warm_up), daemon=True)
        chosen = {"KERAS_BACKEND": backend} if backend else {}
        chosen |= dict.fromkeys(_THREADS, str(threads)) if threads else {}
        with _environment({**_ENVIRONMENT, **chosen}):
            self._process.start()
        other.close()
        self.device = self._pipe.recv()

    def time(self, count):
        """(seconds by the clock, seconds of all processors) of one of `count` runs."""
        self._pipe.send(count)
        return self._pipe.recv()

    def close(self):
        """Ends the process; returns the most memory, MiB, that it held: the GPU's where there is one."""
        self._pipe.send(None)
        peak = self._pipe.recv()
        self._process.join()
        return peak


def take_turns(makers, repeats, count=1):
    """Times all of several things in turn.

    Args:
      makers: {name: function that returns a Subject}; each is made and warmed up before the next.
      repeats: turns.
      count: runs a turn.

    Returns:
      {name: dict of "seconds" and "cpu_seconds" of a run, medians over the turns, "memory" (MiB) and "device"}.
    """
    subjects = {name: make() for name, make in makers.items()}
    times = {name: [] for name in subjects}
    for _ in range(repeats):
        for name, subject in subjects.items():
            times[name].append(subject.time(count))
    return {
        name: {
            "seconds": statistics.median(clock for clock, _ in times[name]),
            "cpu_seconds": statistics.median(cpu for _, cpu in times[name]),
            "memory": subject.close(),
            "device": subject.device,
        }
        for name, subject in subjects.items()
    }


def _serve(pipe, make, arguments, warm_up):
    if "tensorflow" not in sys.modules:
        # Keras and PyTorch would load it on occasion, with all its memory and threads.
        sys.modules["tensorflow"] = None
    run = make(*arguments)
    run(warm_up)
    pipe.send(_device())
    while count := pipe.recv():
        clock, cpu = time.perf_counter(), time.process_time()
        run(count)
        pipe.send(((time.perf_counter() - clock) / count, (time.process_time() - cpu) / count))
    pipe.send(_peak_memory())


@contextlib.contextmanager
def _environment(values):
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _device():
    """What this process computes on, in words; asks only the frameworks that it has loaded."""
    if _cuda():
        return sys.modules["torch"].cuda.get_device_name()
    if "jax" in sys.modules and sys.modules["jax"].default_backend() != "cpu":
        return sys.modules["jax"].devices()[0].device_kind
    if _tensorflow_gpus():
        tf = sys.modules["tensorflow"]
        return tf.config.experimental.get_device_details(_tensorflow_gpus()[0]).get("device_name", "GPU")
    return f"{os.cpu_count()} cores, {_processor()}"


def _peak_memory():
    if _cuda():
        return sys.modules["torch"].cuda.max_memory_allocated() // 2**20
    if "jax" in sys.modules and sys.modules["jax"].default_backend() != "cpu":
        return sys.modules["jax"].devices()[0].memory_stats()["peak_bytes_in_use"] // 2**20
    if _tensorflow_gpus():
        return sys.modules["tensorflow"].config.experimental.get_memory_info("GPU:0")["peak"] // 2**20
    # Unlike getrusage's figure this one does not start at what the parent held.
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM"))


def _cuda():
    return "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized()


def _tensorflow_gpus():
    tf = sys.modules.get("tensorflow")
    return tf.config.list_physical_devices("GPU") if tf else []


def _processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
