"""Training batches made on other hosts, by tf.data service: the same batches in the same order.

A stream that many workers share out among themselves comes in no fixed order, or several times. So each address is a
service of one worker (python -m e2wsol.data_service) that reads the whole stream of records and decodes every n-th
batch of it; the trainer takes the services' batches in turn. The result is the stream of one host, bit for bit.
"""

import socket
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from e2wsol.errors import ArgumentError

_SECONDS = 10


def distributed(parts: Sequence[Any], addresses: Sequence[str]) -> Any:
    """The batches of several Datasets in turn, each made by one service.

    Args:
      parts: one Dataset for every address, all endless.
      addresses: "grpc://HOST:PORT" of the services.

    Raises:
      ArgumentError: a service does not answer.
    """
    for address in addresses:
        _connect(address)
    made = [
        part.apply(
            tf.data.experimental.service.distribute(
                processing_mode=tf.data.experimental.service.ShardingPolicy.OFF,
                service=address,
                compression=None,  # pixels of photos gain little
            )
        )
        for part, address in zip(parts, addresses, strict=True)
    ]
    return tf.data.Dataset.choose_from_datasets(made, tf.data.Dataset.range(len(made)).repeat())


def _connect(address: str) -> None:
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ArgumentError(
            "data_service", address, f"no answer ({error}); start python -m e2wsol.data_service there"
        ) from None


class Service:
    """A dispatcher and its one worker in this process.

    Args:
      port: of the dispatcher; 0 for any free one.
      host: name or address of this host that trainers can reach.
    """

    def __init__(self, port: int = 0, host: str = "localhost"):
        service = tf.data.experimental.service
        self._dispatcher = service.DispatchServer(service.DispatcherConfig(port=port))
        bound = self._dispatcher.target.rsplit(":", 1)[1]
        self.address = f"grpc://{host}:{bound}"
        config = service.WorkerConfig(dispatcher_address=f"localhost:{bound}", worker_address=f"{host}:%port%")
        self._worker = service.WorkerServer(config)
