"""Waiting until all workers are there, before TensorFlow does.

TensorFlow's own start waits for an hour, cannot be interrupted, and does not say for whom. So the first worker listens
on its port before TensorFlow takes it, the others call there, and when all have called they are told to go on.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterable

from e2wsol.errors import UserError
from e2wsol.training.clusters import Cluster

_PAUSE = 0.1  # seconds between two calls
_GRACE = 5  # seconds that a caller waits longer than the first worker, which knows who is missing


def wait_for_workers(cluster: Cluster, seconds: float) -> None:
    """Returns when every worker of the cluster has called this.

    Args:
      cluster: who takes part.
      seconds: to wait at most.

    Raises:
      UserError: some did not come, name other workers than this one, or the port is taken.
    """
    if len(cluster.addresses) == 1:
        return
    deadline = time.monotonic() + seconds
    missing = _listen(cluster, deadline) if cluster.index == 0 else _call(cluster, deadline)
    if missing:
        names = ", ".join(f"worker {index} ({cluster.addresses[index]})" for index in missing)
        raise UserError(f"{names}: no answer within cluster_wait={seconds} seconds; start it, or correct its address")


def _listen(cluster: Cluster, deadline: float) -> list[int]:
    """The first worker's part: returns the indices of those that did not call, and tells those that did."""
    port = int(cluster.addresses[0].rpartition(":")[2])
    callers: dict[int, socket.socket] = {}
    missing = set(range(1, len(cluster.addresses)))
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: _close(callers.values()))
        with _server(port) as server:
            while missing and time.monotonic() < deadline:
                _accept(server, cluster, callers)
                for index in [index for index, caller in callers.items() if not _is_connected(caller)]:
                    callers.pop(index).close()
                missing = set(range(1, len(cluster.addresses))) - set(callers)
        for caller in callers.values():
            caller.sendall(json.dumps(sorted(missing)).encode() + b"\n")
    return sorted(missing)


def _close(callers: Iterable[socket.socket]) -> None:
    for caller in callers:
        caller.close()


def _server(port: int) -> socket.socket:
    """A listening socket on all of this machine's addresses, as TensorFlow's server will be."""
    both = socket.has_dualstack_ipv6()
    try:
        server = socket.create_server(
            ("", port), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both
        )
    except OSError as error:
        raise UserError(f"port {port} of worker 0: {error.strerror}; give it another address") from None
    server.settimeout(0.2)
    return server


def _accept(server: socket.socket, cluster: Cluster, callers: dict[int, socket.socket]) -> None:
    """Takes one call, if one comes soon; what is no worker's is left alone."""
    try:
        caller, _ = server.accept()
    except TimeoutError:
        return
    try:
        caller.settimeout(5)
        index, addresses = json.loads(caller.makefile().readline(1 << 20))
        index = int(index)
    except (OSError, ValueError, TypeError):
        caller.close()
        return
    if index in callers:
        callers[index].close()  # it was started again
    callers[index] = caller
    if addresses != cluster.addresses:
        raise UserError(f"worker {index} was told of other workers ({addresses}) than worker 0 ({cluster.addresses})")


def _is_connected(caller: socket.socket) -> bool:
    caller.setblocking(False)
    try:
        return caller.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        caller.setblocking(True)


def _call(cluster: Cluster, deadline: float) -> list[int]:
    """The part of the others: returns what the first one tells, [0] where it is not to be found."""
    host, _, port = cluster.addresses[0].rpartition(":")
    said = json.dumps([cluster.index, cluster.addresses]).encode() + b"\n"
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=min(5, left)) as first:
                first.sendall(said)
                first.settimeout(left + _GRACE)
                return json.loads(first.makefile().readline())
        except (OSError, ValueError):  # nobody there yet, or no more
            pass
        time.sleep(_PAUSE)
    return [0]
