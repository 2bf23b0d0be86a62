"""Training pictures a second from records, against bare JPEG decoding and a plain loader: python benchmarks/input.py.

Builds, in a temporary folder, records of the same photos as they are (--store=original) and reduced (--store=resized,
--store=square), and reads training batches of 224 from each in turn with

- the bare decoder: tf.io.decode_jpeg with the accurate transform, on as many threads, the bytes in memory; the
  yardstick, since no pipeline that gives these pixels takes less. cv2.imdecode stands beside it;
- plain loaders: threads that decode, resize to 256, crop, mirror and stack, once with OpenCV and once with Pillow;
- the pipeline of training (decode, resize, crop, mirror, shuffle, batch), once more with --resize_filter=antialias.

`ratio_to_decode` is the pipeline's processor time a picture from original shards over the bare decoder's;
`resized_over_original` that of original shards over resized ones, `square_over_original` over square ones. Processor
time, all threads together, is what a core can do, whatever else the machine is busy with. Medians over rounds. The last
line is one JSON object. Without --photos the pictures are textures, as large in bytes as photos of their size.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import concurrent.futures
import dataclasses
import functools
import io
import json
import os
import pathlib
import statistics
import tempfile
import time

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from e2wsol import cli
from e2wsol.config import option
from e2wsol.data import dataset, images, pipeline
from e2wsol.errors import ArgumentError
from tfrecords import writer
from tfrecords.items import FileItem, Listing, Location
from tfrecords.prepare import StoreOptions

STORES = ("original", "resized", "square")
HEIGHT, WIDTH, QUALITY = 375, 500, 90


@dataclasses.dataclass(frozen=True)
class InputBenchmarkOptions:
    """What is read, how often."""

    photos: str = option("", "folder of JPEG photos, searched all the way down; empty for made textures")
    pictures: int = option(320, "pictures at most", minimum=64)
    rounds: int = option(5, "rounds in which every way reads all pictures", minimum=1)
    threads: int = option(0, "threads that decode; 0 for one a core", minimum=0)
    batch_size: int = option(32, "pictures a batch", minimum=1, aliases=("batch",))


def main(options, positional):
    """Prints the table and the JSON line."""
    cli.no_arguments(positional)
    cv2.setNumThreads(1)
    threads = options.threads or os.cpu_count()
    with tempfile.TemporaryDirectory() as folder:
        files = image_files(options, pathlib.Path(folder))
        contents = [path.read_bytes() for path in files]
        view = pipeline.PipelineOptions(data_threads=threads, shuffle_buffer=len(files), resize_filter="bilinear")
        antialiased = dataclasses.replace(view, resize_filter="antialias")
        ways = {
            "tf.io.decode_jpeg": functools.partial(decoded, contents, options.batch_size, threads),
            "cv2.imdecode": functools.partial(in_threads, cv2_decode, contents, options.batch_size, threads),
            "OpenCV loader": functools.partial(in_threads, cv2_view, contents, options.batch_size, threads),
            "Pillow loader": functools.partial(in_threads, pil_view, contents, options.batch_size, threads),
        }
        for store in STORES:
            info = build(files, pathlib.Path(folder) / store, store)
            ways[f"records, {store}"] = functools.partial(trained_on, info, view, options.batch_size)
            ways[f"antialiased, {store}"] = functools.partial(trained_on, info, antialiased, options.batch_size)
        rows = measure(ways, len(files) // options.batch_size, options)
    size = statistics.mean(map(len, contents)) / 1000
    print(f"{len(files)} pictures of {size:.0f} kB on average, {threads} threads, batches of {options.batch_size}")
    print("| | ms of processor time a picture | x decode_jpeg | pictures a second |\n|---|---|---|---|")
    bare = rows["tf.io.decode_jpeg"][0]
    for name, (cost, rate) in rows.items():
        print(f"| {name} | {1000 * cost:.2f} | {cost / bare:.2f} | {rate:.0f} |")
    cost, rate = (dict(zip(rows, column)) for column in zip(*rows.values()))
    print(json.dumps(numbers(cost, rate)))


def numbers(cost, rate):
    """The JSON line from processor seconds a picture and pictures a second of every way."""
    ours = {store: cost[f"records, {store}"] for store in STORES}
    return {
        "ratio_to_decode": round(ours["original"] / cost["tf.io.decode_jpeg"], 2),
        "resized_over_original": round(ours["original"] / ours["resized"], 2),
        "square_over_original": round(ours["original"] / ours["square"], 2),
        "ratio_to_cv2_decode": round(ours["original"] / cost["cv2.imdecode"], 2),
        "over_opencv_loader": round(cost["OpenCV loader"] / ours["original"], 2),
        "over_pillow_loader": round(cost["Pillow loader"] / ours["original"], 2),
        "pictures_per_second": round(rate["records, original"]),
    }


def image_files(options, folder):
    """Paths of the photos, or of textures made in `folder`."""
    if not options.photos:
        return [made_image(folder / f"{index}.jpg", index) for index in range(options.pictures)]
    found = sorted(path for path in pathlib.Path(options.photos).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    rgb = [path for path in found if images.decode(path.read_bytes(), path.name)[1]][: options.pictures]
    if len(rgb) < options.batch_size:
        raise ArgumentError("photos", options.photos, f"{len(rgb)} RGB JPEG files; a batch is {options.batch_size}")
    return rgb


def made_image(path, seed):
    """A texture with detail at every scale, as photos have; written to `path`."""
    rng = np.random.default_rng(seed)
    pixels = np.full((HEIGHT, WIDTH, 3), 128.0)
    for level in range(1, 9):
        shape = (2**level * 3 // 4 + 1, 2**level)
        noise = 64 * 2 ** (-0.4 * level) * (rng.normal(0, 0.6, (*shape, 1)) + rng.normal(0, 0.2, (*shape, 3)))
        pixels += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    path.write_bytes(images.encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), QUALITY))
    return path


def build(files, folder, store):
    """The Dataset of records of the files, all of one class."""
    items = [FileItem(f"{index}", 0, Location(str(path))) for index, path in enumerate(files)]
    listing = Listing("photos", ("photo",), {"train": items})
    created_by = {"store": store}
    options = StoreOptions(store=store)
    writer.write(listing, folder, source="folder", created_by=created_by, store=options, shard_pictures=100)
    return dataset.load(folder)


def measure(ways, batches, options):
    """{way: (processor seconds a picture, pictures a second)}, medians over rounds in which the ways take turns."""
    seconds = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, batches_of in ways.items():
            stream = batches_of()
            for _ in range(2):  # the threads start, the buffers fill
                next(stream)
            begin, processor = time.perf_counter(), time.process_time()
            for _ in range(batches):
                next(stream)
            seconds[name].append((time.process_time() - processor, time.perf_counter() - begin))
            del stream
    pictures = batches * options.batch_size
    medians = {name: [statistics.median(column) for column in zip(*times)] for name, times in seconds.items()}
    return {name: (processor / pictures, pictures / wall) for name, (processor, wall) in medians.items()}


def decoded(contents, batch, threads):
    """Endless batches of one value of each decoded picture."""
    stream = tf.data.Dataset.from_tensor_slices(contents).repeat()
    stream = stream.map(lambda jpeg: pipeline.decode(jpeg)[0, 0, 0], num_parallel_calls=threads).batch(batch)
    return iter(stream.prefetch(tf.data.AUTOTUNE))


def trained_on(info, view, batch):
    """Endless training batches of records."""
    return iter(pipeline.train_dataset(info, view, global_batch=batch, seed=0))


def in_threads(function, contents, batch, threads):
    """Endless batches of function(bytes, random numbers), two batches ahead."""
    rng = np.random.default_rng(0)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        pending = []
        while True:
            chosen = rng.integers(len(contents), size=batch)
            pending.append([pool.submit(function, contents[index], rng.random(3)) for index in chosen])
            if len(pending) > 2:
                yield np.stack([future.result() for future in pending.pop(0)])


def cv2_decode(content, _):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[0, 0, 0]


def cv2_view(content, draws):
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return window(cv2.cvtColor(cv2.resize(pixels, (256, 256)), cv2.COLOR_BGR2RGB), draws)


def pil_view(content, draws):
    picture = Image.open(io.BytesIO(content)).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
    return window(np.asarray(picture), draws)


def window(pixels, draws):
    """A crop of 224 of a picture of 256, mirrored or not."""
    y, x = (int(33 * draw) for draw in draws[:2])
    crop = pixels[y : y + 224, x : x + 224]
    return crop[:, ::-1] if draws[2] < 0.5 else crop


if __name__ == "__main__":
    cli.run(main, InputBenchmarkOptions, description=__doc__)
