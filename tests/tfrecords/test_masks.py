"""Masks of every PNG mode under every rule, and which file is whose mask."""

import io
import struct
import zlib

import numpy as np
import pytest
from made_sources import decode_mask, read_split, run_build, save_picture
from PIL import Image

from e2wsol.errors import UserError
from tfrecords.items import Location
from tfrecords.masks import MASK_RULES, MaskFile
from tfrecords.sources.folder import FolderOptions

GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6  # color types of the PNG standard
OBJECT = np.zeros((24, 32), bool)
OBJECT[4:16, 5:25] = True
BORDER = np.zeros((24, 32), bool)
BORDER[2:4, 5:25] = True
VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)] + [(224, 224, 192)] * 252


def png(samples, *, depth=8, color=GRAY, palette=None, transparent=None):
    """PNG bytes of samples (H, W) or (H, W, channels), written bit by bit as the standard says."""
    samples = np.asarray(samples).reshape(*np.shape(samples)[:2], -1)
    height, width, _ = samples.shape
    rows = samples.reshape(height, -1).astype(np.int64)
    bits = (rows[..., None] >> np.arange(depth)[::-1]) & 1
    packed = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in packed)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", bytes(value for entry in palette[: 2**depth] for value in entry)))
    if transparent is not None:
        chunks.append((b"tRNS", transparent))
    chunks += [(b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def channels(gray, *others):
    return np.stack([gray, *others], axis=-1)


def numbers(background, an_object, ignored=None):
    found = np.where(OBJECT, an_object, background)
    return found if ignored is None else np.where(BORDER, ignored, found)


def render(tmp_path, data, rule):
    path = tmp_path / "mask.png"
    path.write_bytes(data)
    return MaskFile(Location(str(path)), rule).render(24, 32)


def opaque(gray):
    return np.full_like(gray, 255)


ALPHA = np.where(OBJECT, 255, 0)
PHOTO = np.random.default_rng(0).integers(0, 256, (24, 32, 3))

# Every way to store whole numbers: name -> file of the numbers, and the largest that it holds.
OF_NUMBERS = {
    "gray1": (lambda n: png(n, depth=1), 1),
    "gray2": (lambda n: png(n, depth=2), 3),
    "gray4": (lambda n: png(n, depth=4), 15),
    "gray8": (lambda n: png(n), 255),
    "gray16": (lambda n: png(n, depth=16), 255),
    "palette1": (lambda n: png(n, depth=1, color=PALETTE, palette=VOC), 1),
    "palette2": (lambda n: png(n, depth=2, color=PALETTE, palette=VOC), 3),
    "palette4": (lambda n: png(n, depth=4, color=PALETTE, palette=VOC), 15),
    "palette8": (lambda n: png(n, color=PALETTE, palette=VOC), 255),
    "palette of grays": (lambda n: png(n, color=PALETTE, palette=[(i, i, i) for i in range(256)]), 255),
    "palette, 0 transparent": (lambda n: png(n, color=PALETTE, palette=VOC, transparent=b"\0"), 255),
    "rgb": (lambda n: png(channels(n, n, n), color=RGB), 255),
    "gray and alpha": (lambda n: png(channels(n, opaque(n)), color=GRAY_ALPHA), 255),
    "rgba": (lambda n: png(channels(n, n, n, opaque(n)), color=RGBA), 255),
}


@pytest.mark.parametrize("kind", OF_NUMBERS)
@pytest.mark.parametrize(
    ("rule", "values"),
    [("index", (0, 1)), ("index", (0, 1, 255)), ("index", (0, 7, 255)), ("trimap", (2, 1, 3)), ("trimap", (2, 1, 0))],
)
def test_rules_that_read_numbers(tmp_path, kind, rule, values):
    encode, largest = OF_NUMBERS[kind]
    if max(values) > largest:
        pytest.skip(f"{kind} holds no {max(values)}")
    expected = np.where(OBJECT, 1, 0)
    if len(values) == 3:
        expected = np.where(BORDER, 255, expected)
    np.testing.assert_array_equal(render(tmp_path, encode(numbers(*values)), rule), expected)


# Every way to show an object: name -> its file.
SHOWN = {
    "gray1": png(OBJECT, depth=1),
    "gray2": png(OBJECT * 3, depth=2),
    "gray4": png(OBJECT * 15, depth=4),
    "gray8": png(OBJECT * 255),
    "gray16": png(OBJECT * 65535, depth=16),
    "gray16 of 8 bits": png(OBJECT * 255, depth=16),
    "palette, black first": png(OBJECT, depth=1, color=PALETTE, palette=[(0, 0, 0), (255, 255, 255)]),
    "rgb": png(channels(OBJECT * 255, OBJECT * 255, OBJECT * 255), color=RGB),
    "gray and alpha, opaque": png(channels(OBJECT * 255, opaque(ALPHA)), color=GRAY_ALPHA),
    "cut-out, gray": png(channels(PHOTO[..., 0], ALPHA), color=GRAY_ALPHA),
    "cut-out": png(channels(*PHOTO.transpose(2, 0, 1), ALPHA), color=RGBA),
    "cut-out, black": png(channels(ALPHA * 0, ALPHA * 0, ALPHA * 0, ALPHA), color=RGBA),
    "gray, white transparent": png(np.where(OBJECT, 0, 255), transparent=struct.pack(">H", 255)),
    "palette, 1 transparent": png(
        ~OBJECT, depth=1, color=PALETTE, palette=[(9, 9, 9), (255, 255, 255)], transparent=b"\xff\0"
    ),
}


@pytest.mark.parametrize("rule", ["nonzero", "majority"])
@pytest.mark.parametrize("kind", SHOWN)
def test_rules_that_read_what_is_shown(tmp_path, kind, rule):
    np.testing.assert_array_equal(render(tmp_path, SHOWN[kind], rule), OBJECT)


@pytest.mark.parametrize(
    "data",
    [
        png(OBJECT),
        png(OBJECT, depth=2),
        png(OBJECT, depth=16),
        png(OBJECT * 300, depth=16),
        png(OBJECT, color=PALETTE, palette=VOC),
        png(channels(OBJECT * 0, OBJECT * 9, OBJECT * 0), color=RGB),
    ],
    ids=["1 of 255", "1 of 3", "1 of 65535", "300 of 65535", "palette", "green"],
)
def test_nonzero_takes_the_least_value(tmp_path, data):
    np.testing.assert_array_equal(render(tmp_path, data, "nonzero"), OBJECT)


@pytest.mark.parametrize(("depth", "top"), [(2, 3), (4, 15), (8, 255), (16, 65535)])
def test_majority_is_more_than_half_of_the_depth(tmp_path, depth, top):
    values = np.linspace(0, top, 24 * 32).round().astype(int).reshape(24, 32)
    np.testing.assert_array_equal(render(tmp_path, png(values, depth=depth), "majority"), values > top / 2)


@pytest.mark.parametrize(
    ("rule", "data", "message"),
    [
        ("index", png(OBJECT * 300, depth=16), "holds the value 300; mask_rule=index reads 0 to 255"),
        ("trimap", png(OBJECT * 65535, depth=16), "holds the value 65535; mask_rule=trimap reads 0 to 255"),
        ("index", SHOWN["cut-out"], "has transparent parts; mask_rule=index reads numbers"),
        ("trimap", SHOWN["cut-out, gray"], "has transparent parts; mask_rule=trimap reads numbers"),
        ("index", png(PHOTO, color=RGB), "holds colours; mask_rule=index reads gray values"),
        ("majority", png(PHOTO, color=RGB), "holds colours; mask_rule=majority reads gray values"),
        ("majority", png(OBJECT, color=PALETTE, palette=VOC), "holds colours; mask_rule=majority reads gray values"),
        ("nonzero", png(OBJECT, color=PALETTE, palette=[(255, 255, 255), (0, 0, 0)]), "its palette shows index 0 in a"),
        ("index", png(OBJECT, color=PALETTE, palette=[(0, 0, 0), (255,) * 3]), "a palette of grays whose indices are"),
        ("trimap", png(OBJECT + 1, color=PALETTE, palette=[(i, i, i) for i in (0, 1, 3)]), "a palette of grays whose"),
        ("nonzero", png(OBJECT[:12]), "mask is 32x12 pixels, its picture 32x24"),
        ("nonzero", SHOWN["gray8"][:50], "not a readable mask"),
        ("nonzero", b"", "not a readable mask"),
    ],
)
def test_masks_that_can_be_read_in_two_ways_are_refused(tmp_path, rule, data, message):
    with pytest.raises(UserError) as error:
        render(tmp_path, data, rule)
    assert str(error.value).startswith(f"{tmp_path / 'mask.png'}: {message}")


@pytest.mark.parametrize("rule", MASK_RULES)
@pytest.mark.parametrize("kind", ["TIFF", "BMP"])
def test_other_lossless_formats(tmp_path, rule, kind):
    values = {"nonzero": (0, 200), "majority": (100, 200), "index": (0, 1, 255), "trimap": (2, 1, 3)}[rule]
    stream = io.BytesIO()
    Image.fromarray(numbers(*values).astype(np.uint8)).save(stream, kind)
    expected = np.where(OBJECT, 1, 0) if len(values) == 2 else np.where(BORDER, 255, np.where(OBJECT, 1, 0))
    np.testing.assert_array_equal(render(tmp_path, stream.getvalue(), rule), expected)


def test_fractions_in_a_tiff(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.where(OBJECT, 0.6, 0.2).astype(np.float32)).save(stream, "TIFF")
    np.testing.assert_array_equal(render(tmp_path, stream.getvalue(), "majority"), OBJECT)
    with pytest.raises(UserError, match="a mask of fractions; mask_rule=index reads whole numbers"):
        render(tmp_path, stream.getvalue(), "index")


@pytest.fixture
def root(tmp_path):
    for number in range(2):
        save_picture(tmp_path / f"in/ant/{number}.jpg", height=24, width=32, seed=number)
    save_picture(tmp_path / "in/bee/0.jpg", height=24, width=32, seed=9)
    return tmp_path / "in"


def add_mask(root, name):
    path = root / "masks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(SHOWN["gray8"])


def build(root):
    options = FolderOptions(test_fraction=0.0)
    return read_split(run_build(root.parent / "out", source="folder", input=root, source_options=options), "train")


@pytest.mark.parametrize("name", ["ant/0.png", "ant/0.PNG", "ant/0.jpg.png"])
def test_a_mask_is_found_by_its_pictures_path(root, name):
    add_mask(root, name)
    records = build(root)
    np.testing.assert_array_equal(decode_mask(records["ant/0.jpg"]), OBJECT)
    assert not records["bee/0.jpg"]["mask"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0.png"], "0.png: no such picture; a mask has its picture's path and name with the suffix .png"),
        (["ant/0_mask.png", "ant/0.png"], "ant/0_mask.png: no such picture"),
        (["ant/0.jpg"], "ant/0.jpg: a mask in a format that changes values; save it as .png"),
        (["ant/0.png", "ant/0.bmp"], "is a mask of ant/0.jpg too; leave one"),
        ([f"ant/x{i}.png" for i in range(5)], "ant/x0.png, ant/x1.png, ant/x2.png and 2 more: no such picture"),
    ],
)
def test_masks_of_no_picture_are_refused(root, names, message):
    for name in names:
        add_mask(root, name)
    with pytest.raises(UserError) as error:
        build(root)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_mask_for_two_pictures_is_refused(root):
    save_picture(root / "ant/0.bmp", height=24, width=32)
    add_mask(root, "ant/0.png")
    with pytest.raises(UserError, match=r"would be the mask of ant/0\.bmp and of ant/0\.jpg; call it ant/0\.bmp\.png"):
        build(root)
    (root / "masks/ant/0.png").rename(root / "masks/ant/0.bmp.png")
    records = build(root)
    assert records["ant/0.bmp"]["mask"] and not records["ant/0.jpg"]["mask"]
