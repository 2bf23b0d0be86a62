"""Records to batches of uint8 RGB images with tf.data. The views' geometry is that of e2wsol.data.views."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from e2wsol.data import data_service, record_streams, schema
from e2wsol.data.views import BILINEAR, PipelineOptions, is_antialias
from e2wsol.errors import UserError

if TYPE_CHECKING:
    from e2wsol.data.dataset import Dataset, Split

_PICTURE_STREAM = 2  # of random numbers, beside that of record_streams


def decode(jpeg):
    """JPEG bytes to uint8 (H, W, 3) RGB, with the accurate transform that Pillow and OpenCV use too."""
    return tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")


def resize(image, size):
    """Both sides to `size`, bilinear with half-pixel centres and no antialiasing, as cv2.resize.

    Args:
      image: (H, W, 3) of any number type.
      size: side in pixels.

    Returns:
      (size, size, 3) float32 in the range of `image`.
    """
    # The kernel takes other types value by value, float32 by vectors: the same sums, a cast dearer, and yet faster.
    return tf.image.resize(tf.cast(image, tf.float32), (size, size), method="bilinear", antialias=False)


def resize_antialiased(image: Any, size: int) -> Any:
    """Both sides to `size`, each value a mean by a triangle as wide as the reduction, as Pillow's BILINEAR.

    Args:
      image: (..., H, W, 3) of any number type; of uint8 it needs no copy in float32.
      size: side in pixels.

    Returns:
      (..., size, size, 3) float32 in the range of `image`.
    """
    return tf.image.resize(image, (size, size), method="bilinear", antialias=True)


def whole_view(images: Any, size: int, resize_filter: str = BILINEAR) -> Any:
    """Pictures resized to the network's input without a crop: uint8 (..., H, W, 3) to (..., S, S, 3).

    Args:
      images: one picture, or a batch.
      size: side in pixels.
      resize_filter: one of views.RESIZE_FILTERS. Bilinear values are truncated, as E2Net does, others rounded, as
        Pillow does.
    """
    if not is_antialias(resize_filter):
        return _to_uint8(resize(images, size))
    images = tf.convert_to_tensor(images)
    # The kernel would take as long for a picture of that size already, and give the same.
    view = tf.cond(
        tf.reduce_all(tf.shape(images)[-3:-1] == size),
        lambda: images,
        lambda: tf.cast(resize_antialiased(images, size) + 0.5, tf.uint8),
    )
    return tf.ensure_shape(view, (*images.shape[:-3], size, size, images.shape[-1]))


def eval_view(image, options: PipelineOptions):
    """The network's view of a whole picture, uint8 (H, W, 3) to uint8 (S, S, 3); twin of views.eval_view."""
    size = options.image_size
    if options.eval_crop == "none":
        return whole_view(image, size, options.resize_filter)
    start = (options.resize_size - size) // 2
    resized = whole_view(image, options.resize_size, options.resize_filter)
    return resized[start : start + size, start : start + size]


def ten_crops(images, size):
    """The corners and the centre of pictures, then the same of their mirror images.

    The order is that of torchvision's TenCrop: upper left, upper right, lower left, lower right, centre.

    Args:
      images: (..., R, R, 3) of any number type, R known.
      size: side S of a crop in pixels.

    Returns:
      (..., 10, S, S, 3) tensor of the same type; crop 4 is the centre that `eval_view` takes.
    """
    images = tf.convert_to_tensor(images)
    margin = images.shape[-2] - size
    starts = [(0, 0), (0, margin), (margin, 0), (margin, margin), (margin // 2, margin // 2)]
    sources = images, images[..., ::-1, :]
    crops = [source[..., y : y + size, x : x + size, :] for source in sources for y, x in starts]
    return tf.stack(crops, axis=-4)


def resize_nearest(image: Any, size: int) -> Any:
    """Both sides to `size`, each pixel from the one under its upper left corner, as cv2.INTER_NEAREST.

    So it lies up to half a pixel beside what `resize` gives, as in the code of the papers that resize masks with it.

    Args:
      image: (H, W, c).
      size: side in pixels.

    Returns:
      (size, size, c) tensor of the same type.
    """
    for axis in (0, 1):
        source = tf.shape(image)[axis]
        # OpenCV rounds twice: for some sizes that takes the index of an exact product down by one.
        step = 1.0 / (size / tf.cast(source, tf.float64))
        index = tf.cast(tf.floor(tf.range(size, dtype=tf.float64) * step), tf.int32)
        image = tf.gather(image, tf.minimum(index, source - 1), axis=axis)
    return image


def _train_view(image: Any, options: PipelineOptions, key: Any) -> Any:
    return _train_window(whole_view(image, options.resize_size, options.resize_filter), options, key)


def _train_window(image: Any, options: PipelineOptions, key: Any) -> Any:
    """The crop (S, S, c), mirrored or not, that `key` draws from a resized picture (R, R, c)."""
    size, channels = options.image_size, image.shape[-1]
    draws = tf.random.stateless_uniform([3], seed=key, alg="philox")
    offsets = tf.cast(draws[:2] * float(options.resize_size - size + 1), tf.int32)
    image = tf.slice(image, [offsets[0], offsets[1], 0], [size, size, channels])
    if options.flip:
        # Not image[:, ::-1]: a strided slice copies value by value, which takes as long as decoding the JPEG.
        image = tf.cond(draws[2] < 0.5, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.ensure_shape(image, (size, size, channels))


def decode_pseudo_mask(png: Any) -> Any:
    """PNG bytes of a record's pseudo mask to uint8 (H, W, 2): 255 * foreground, 255 * prior."""
    return tf.io.decode_png(png, channels=3)[..., :2]


def _to_uint8(resized):
    """Truncates a resized uint8 picture; its values lie between those of the picture, so nothing has to be clipped."""
    return tf.cast(resized, tf.uint8)


def train_dataset(
    data: "Dataset",
    options: PipelineOptions,
    *,
    split: str = "train",
    global_batch: int,
    seed: int,
    start_record: int = 0,
    shard_index: int = 0,
    num_shards: int = 1,
    pseudo_masks: bool = False,
) -> Any:
    """Endless shuffled, augmented batches; a pure function of (seed, start_record).

    Record i of the stream (counted over all passes) has its own crop and flip drawn from (seed, i), and
    pass p its own order drawn from (seed, p). So a run that starts at `start_record` = k sees exactly
    what a run from 0 sees after k records, and the shards of a batch together are the unsharded batch.

    Args:
      data: `dataset.Dataset`.
      options: `PipelineOptions`.
      split: split to read.
      global_batch: pictures per step over all shards; must be divisible by `num_shards`.
      seed: int.
      start_record: records of the global stream to leave out.
      shard_index: number of this worker's part of every global batch, from 0.
      num_shards: number of workers.
      pseudo_masks: whether to give the pictures' pseudo masks as well, cropped and mirrored like them.

    Returns:
      tf.data.Dataset of {"image": uint8 (b, S, S, 3) RGB, "label": int32 (b,)}, b = global_batch / num_shards;
      with pseudo masks also "pseudo_mask" uint8 (b, S, S, 2): 255 * foreground, 255 * prior.

    Raises:
      UserError: the batch cannot be split, the split is empty, or it has no pseudo masks and they are asked for.
    """
    if global_batch % num_shards:
        raise UserError(f"global batch of {global_batch} pictures cannot be split over {num_shards} workers")
    records = _nonempty(data, split)
    if pseudo_masks and split not in data.pseudo_mask_splits:
        raise UserError(
            f"{data.folder}: split '{split}' has no pseudo masks; make them with python -m e2wsol.pseudo_masks"
            " and train on the copy that it writes"
        )

    def prepare(index: Any, serialized: Any) -> dict[str, Any]:
        record = checked_record(serialized, data)
        key = record_streams.key(seed, _PICTURE_STREAM, index)
        view = {"image": _train_view(decode(record["jpeg"]), options, key), "label": record["label"]}
        if pseudo_masks:
            mask = resize_nearest(decode_pseudo_mask(record["pseudo_mask"]), options.resize_size)
            view["pseudo_mask"] = _train_window(mask, options, key)
        return view

    batch = global_batch // num_shards

    def every_nth_batch(n: int, first: int) -> Any:
        dataset = record_streams.endless(records, options.shuffle_buffer, seed, start_record)
        dataset = dataset.shard(num_shards, (shard_index - start_record) % num_shards)
        if n > 1:
            dataset = dataset.batch(batch, drop_remainder=True).shard(n, first).unbatch()
        dataset = dataset.map(prepare, num_parallel_calls=_threads(options))
        return dataset.batch(batch, drop_remainder=True).with_options(_dataset_options())

    services = options.data_service
    if services:
        parts = [every_nth_batch(len(services), number) for number in range(len(services))]
        dataset = data_service.distributed(parts, services)
    else:
        dataset = every_nth_batch(1, 0)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(_dataset_options())


def train_ids(
    data: "Dataset", options: PipelineOptions, *, split: str = "train", seed: int, start_record: int, count: int
) -> list[str]:
    """The picture ids of `count` records of train_dataset's stream from `start_record` on."""
    records = record_streams.endless(_nonempty(data, split), options.shuffle_buffer, seed, start_record).take(count)
    return [schema.parse(serialized)["source_id"].numpy().decode(errors="replace") for _, serialized in records]


def picture_names(data: "Dataset", split: str) -> Iterator[tuple[str, str]]:
    """Yields (id, file name) of every picture of a split in file order, without decoding any."""
    names = record_streams.stored(_nonempty(data, split)).map(
        lambda serialized: [schema.parse(serialized)[name] for name in ("source_id", "filename")],
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    with data.reading(split):
        for source_id, filename in names.as_numpy_iterator():
            yield source_id.decode(errors="replace"), filename.decode(errors="replace")


def eval_pictures(
    data: "Dataset",
    options: PipelineOptions,
    *,
    split: str,
    start: int = 0,
    limit: int = 0,
    crops: int = 1,
    shard_index: int = 0,
    num_shards: int = 1,
) -> Any:
    """Pictures one by one in file order, with the annotations.

    Args:
      data: `dataset.Dataset`.
      options: `PipelineOptions`.
      split: split to read.
      start: leave out so many pictures at the beginning.
      limit: read this many pictures only (builders store pictures in mixed order); 0 for all.
      crops: 10 to give "crops" as well, ten a picture, whatever `eval_crop` says; else 1.
      shard_index: number of the first picture to read.
      num_shards: read every num_shards-th picture from there on.

    Returns:
      finite tf.data.Dataset of "image" uint8 (S, S, 3) RGB, "label" int32, "source_id" and "filename" string, "size"
      int32 (2,) height and width of the annotated picture, "boxes" float32 (n, 4) in its pixels, "num_boxes" int32 n,
      "mask" string, PNG or ""; with ten crops also "crops" uint8 (10, S, S, 3) in the order of `ten_crops`.
    """

    def prepare(serialized: Any) -> dict[str, Any]:
        record = with_checked_boxes(checked_record(serialized, data))
        image = decode(record["jpeg"])
        view = {"image": eval_view(image, options), "num_boxes": tf.shape(record["boxes"])[0]}
        if crops == 10:
            whole = whole_view(image, options.resize_size, options.resize_filter)
            view["crops"] = ten_crops(whole, options.image_size)
        return view | {name: record[name] for name in ("label", "source_id", "filename", "size", "boxes", "mask")}

    dataset = record_streams.stored(_nonempty(data, split)).skip(start)
    if limit:
        dataset = dataset.take(limit)
    dataset = dataset.shard(num_shards, shard_index).map(prepare, num_parallel_calls=_threads(options))
    return dataset.with_options(_dataset_options())


def eval_dataset(data: "Dataset", options: PipelineOptions, *, split: str, batch: int, **which: int) -> Any:
    """Finite batches of `eval_pictures`, remainder kept.

    Args:
      data: `dataset.Dataset`.
      options: `PipelineOptions`.
      split: split to read.
      batch: pictures per batch.
      which: further arguments of `eval_pictures`.

    Returns:
      tf.data.Dataset of what is there in batches (b, ...), "boxes" float32 (b, M, 4) padded with -1.
    """
    dataset = eval_pictures(data, options, split=split, **which)
    padding = {name: tf.zeros([], spec.dtype) for name, spec in dataset.element_spec.items() if spec.dtype != tf.string}
    padding |= {name: "" for name, spec in dataset.element_spec.items() if spec.dtype == tf.string}
    padding["boxes"] = -1.0
    return dataset.padded_batch(batch, padding_values=padding).prefetch(tf.data.AUTOTUNE)


def supervised(dataset: Any) -> Any:
    """(image, label) pairs for `keras.Model.fit`."""
    return dataset.map(lambda batch: (batch["image"], batch["label"]))


def checked_record(serialized: Any, data: "Dataset") -> dict[str, Any]:
    """`schema.parse` of a record, stopping at a label that the data set's classes do not have."""
    record = schema.parse(serialized)
    known = (record["label"] >= 0) & (record["label"] < len(data.classes))
    with tf.control_dependencies([tf.debugging.Assert(known, ["label out of range", record["label"]])]):
        record["label"] = tf.identity(record["label"])
    return record


def with_checked_boxes(record: dict[str, Any]) -> dict[str, Any]:
    """The record, stopping at a size that no picture has and at boxes that are no numbers."""
    size, boxes = record["size"], record["boxes"]
    sound = tf.reduce_all(size > 0) & tf.reduce_all(tf.math.is_finite(boxes))
    with tf.control_dependencies([tf.debugging.Assert(sound, ["size or boxes cannot be right", size, boxes])]):
        return record | {"size": tf.identity(size), "boxes": tf.identity(boxes)}


def _nonempty(data: "Dataset", name: str) -> "Split":
    split = data.split(name)
    if split.count == 0:
        raise UserError(f"{data.folder}: split '{name}' holds no picture")
    return split


def _threads(options: PipelineOptions) -> Any:
    return options.data_threads or tf.data.AUTOTUNE


def _dataset_options() -> Any:
    dataset_options = tf.data.Options()
    dataset_options.deterministic = True
    # The shards are already this worker's own: tf.distribute must not cut them again.
    dataset_options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset_options
