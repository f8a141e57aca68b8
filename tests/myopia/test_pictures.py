"""Pictures of every common mode come out as a viewer shows them; bad files are named."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from myopia.errors import BadImage
from myopia.pictures import PictureLimits, read_picture

RED = (250, 10, 20)


def file_bytes(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_formats(form: str) -> None:
    picture = read_picture(file_bytes(Image.new("RGB", (40, 30), RED), form))
    assert picture.image.mode == "RGB"
    assert picture.image.size == (40, 30)
    assert np.abs(np.asarray(picture.image)[10, 10].astype(int) - RED).max() < 12
    assert len(picture.digest) == 64


def test_alpha_lies_over_white() -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert read_picture(file_bytes(clear)).image.getpixel((3, 3)) == (255, 255, 255)
    half = Image.new("LA", (16, 16), (0, 128))
    assert 120 < read_picture(file_bytes(half)).image.getpixel((3, 3))[0] < 135


def test_palette_with_transparency() -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([0, 0, 0, *RED] + [0] * 750)
    image.paste(1, (0, 0, 8, 16))
    picture = read_picture(file_bytes(image, transparency=0)).image
    assert picture.getpixel((2, 2)) == RED
    assert picture.getpixel((12, 2)) == (255, 255, 255)


def test_sixteen_bits_keep_their_shades() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    picture = read_picture(file_bytes(Image.fromarray(ramp))).image
    assert np.abs(np.asarray(picture)[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1


def test_cmyk_and_bilevel() -> None:
    cmyk = Image.new("RGB", (16, 16), RED).convert("CMYK")
    assert read_picture(file_bytes(cmyk, "JPEG")).image.getpixel((4, 4))[0] > 200
    assert read_picture(file_bytes(Image.new("1", (16, 16), 1))).image.getpixel((4, 4)) == (
        255,
        255,
        255,
    )


def test_exif_turn_is_applied() -> None:
    image = Image.new("RGB", (40, 20), "black")
    image.paste(RED, (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    picture = read_picture(file_bytes(image, "PNG", exif=exif)).image
    assert picture.size == (20, 40)
    assert picture.getpixel((10, 5)) == RED


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, "blue", "green")]
    data = file_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_picture(data).image.getpixel((3, 3))[0] > 240


def bomb(width: int, height: int) -> bytes:
    """A PNG of one bit per pixel that claims, and has, a great many pixels in few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = zlib.compress(b"\0" * (height * (width // 8 + 1)), 9)
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_bomb_is_refused_from_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bomb(20_000, 20_000)
    assert len(data) < 100_000

    def decode(self: Image.Image) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(BadImage, match="at most 40000000") as caught:
        read_picture(data, index=2)
    assert caught.value.image_index == 2
    assert caught.value.limit == 40_000_000


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (7, 100), (20, 400)])
def test_slivers_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadImage, match="edge"):
        read_picture(file_bytes(Image.new("RGB", size)))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_cut_files_are_refused(form: str) -> None:
    rng = np.random.default_rng(0)
    whole = file_bytes(Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)), form)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(BadImage, match=r"damaged|not a"):
            read_picture(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7\n", b"<svg></svg>", b"\x00" * 500])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(BadImage, match="not a JPEG"):
        read_picture(data)


def test_tiff_is_not_among_the_formats() -> None:
    with pytest.raises(BadImage, match="not a JPEG"):
        read_picture(file_bytes(Image.new("RGB", (16, 16)), "TIFF"))


def test_limits_are_the_callers() -> None:
    data = file_bytes(Image.new("RGB", (100, 100)))
    with pytest.raises(BadImage, match="100x100"):
        read_picture(data, limits=PictureLimits(most_pixels=9_999))
    assert read_picture(data, limits=PictureLimits(most_pixels=10_000)).image.size == (100, 100)
