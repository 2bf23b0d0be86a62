"""Decodes training pictures for a trainer on another host, whose cores do not suffice.

python -m e2wsol.data_service --port=5050                                      on each helping host
python -m e2wsol.train ... --data_service=grpc://host1:5050,grpc://host2:5050

The batches are those that the trainer would make alone, bit for bit, whatever the number of services. --data_dir must
name the same records on every host. A service serves any number of runs, until SIGTERM or Ctrl-C. TensorFlow waits
without end for one that is gone: kill such a run and start it again, with other services or none; it goes on from its
last checkpoint. There is no protection by a password, and the service listens on every network interface of its host,
since TensorFlow cannot bind it to one: --host is only the name that trainers are told. Whoever reaches the port can
have files read and graphs run. Use it in networks that you trust, or close the port to others by a firewall.
"""

import e2wsol.on_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import socket
import time

from e2wsol import cli, terminal
from e2wsol.config import option
from e2wsol.data.data_service import Service
from e2wsol.errors import UserError


@dataclasses.dataclass(frozen=True)
class ServiceOptions:
    """Where it listens."""

    port: int = option(5050, "port that trainers connect to; 0 for any free one", minimum=0, maximum=65535)
    host: str = option("", "name of this host as trainers know it, not where it listens; empty for its own name")


def main(options, positional):
    """Serves until it is stopped."""
    cli.no_arguments(positional)
    host = options.host or socket.gethostname()
    try:
        service = Service(options.port, host)
    except RuntimeError as error:
        raise UserError(f"--port={options.port}: cannot be served ({error})") from None
    terminal.note(
        "note: the port is open on every network interface of this host; only those that you trust may reach it"
    )
    terminal.say(f"serving on {service.address}")
    while True:  # in parts: a signal that another thread takes does not end a wait of this one
        time.sleep(0.5)


if __name__ == "__main__":
    cli.run(main, ServiceOptions, description=__doc__)
