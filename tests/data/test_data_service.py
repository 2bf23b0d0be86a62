import dataclasses
import os
import signal
import subprocess
import sys

import pytest
from made_records import assert_equal

from e2wsol.data import data_service, dataset, pipeline
from e2wsol.errors import UserError

OPTIONS = pipeline.PipelineOptions(image_size=16, resize_size=20, shuffle_buffer=8, data_threads=2)


def batches(records, services=(), count=9, **settings):
    options = dataclasses.replace(OPTIONS, data_service=services)
    stream = pipeline.train_dataset(dataset.load(records), options, **{"global_batch": 4, "seed": 5} | settings)
    return [(batch["image"].numpy(), batch["label"].numpy()) for batch in stream.take(count)]


@pytest.mark.slow
def test_services_give_the_stream_of_one_host(records):
    """Nine batches are a pass and a half; two services decode every second of them."""
    services = [data_service.Service() for _ in range(2)]
    addresses = tuple(service.address for service in services)
    assert_equal(batches(records, addresses), batches(records))
    assert_equal(batches(records, addresses[:1], 3, start_record=12), batches(records, count=6)[3:])
    settings = {"count": 3, "start_record": 6, "shard_index": 1, "num_shards": 2}
    assert_equal(batches(records, addresses, **settings), batches(records, **settings))


@pytest.mark.slow
def test_command(records):
    process = subprocess.Popen(
        [sys.executable, "-m", "e2wsol.data_service", "--port=0", "--host=localhost"],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = process.stdout.readline().strip()
        address = line.removeprefix("serving on ")
        assert_equal(batches(records, (address,), 3), batches(records, count=3))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    with pytest.raises(UserError, match=rf"--data_service={address}: no answer"):
        batches(records, (address,), 1)


@pytest.mark.parametrize("address", ["localhost:5050", "grpc://localhost", "grpc://a b:1", "http://localhost:1"])
def test_addresses(address):
    with pytest.raises(UserError, match=rf"^data_service={address}: expected grpc://HOST:PORT"):
        dataclasses.replace(OPTIONS, data_service=(address,))
