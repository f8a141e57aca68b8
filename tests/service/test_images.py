import hashlib
import resource

import pytest

from service.images import Picture, Raw, check, from_base64
from service.problems import Problem
from service.settings import Settings
from tests.service.pictures import (
    MODES,
    animated,
    claimed_png,
    encode,
    hostile,
    noise,
    plain,
    turned,
)

SETTINGS = Settings()


def look(*files: bytes, settings: Settings = SETTINGS) -> list[Picture]:
    return check([Raw(data, i, f"/images/{i}/data") for i, data in enumerate(files)], settings)


def refusal(*files: bytes, settings: Settings = SETTINGS) -> Problem:
    with pytest.raises(Problem) as caught:
        look(*files, settings=settings)
    return caught.value


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_png_is_taken(mode: str) -> None:
    from PIL import Image

    picture = Image.new(mode, (20, 10)) if mode == "I;16" else noise(20, 10).convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    (found,) = look(encode(picture, kind))
    assert (found.width, found.height) == (20, 10)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_every_format_is_taken_and_bytes_are_kept(kind: str) -> None:
    data = encode(noise(), kind)
    (found,) = look(data)
    assert found.data == data
    assert found.digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animated_pictures_are_taken(kind: str) -> None:
    assert look(animated(kind))[0].width == 60


@pytest.mark.parametrize(("orientation", "size"), [(1, (60, 40)), (3, (60, 40)), (6, (40, 60))])
def test_size_is_as_shown_after_orientation(orientation: int, size: tuple[int, int]) -> None:
    (found,) = look(turned(orientation))
    assert (found.width, found.height) == size


@pytest.mark.parametrize("name", list(hostile()))
def test_hostile_files_are_refused_by_index_and_field(name: str) -> None:
    problem = refusal(plain(), hostile()[name])
    assert problem.code == "bad_image"
    assert problem.image_index == 1
    assert problem.field == "/images/1/data"
    assert any(word in problem.detail for word in ("Send", "Make", "Crop", "send"))


def test_bomb_is_refused_from_its_header_with_numbers() -> None:
    bomb = claimed_png(20_000, 20_000)
    assert len(bomb) < 60_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problem = refusal(bomb)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (problem.limit, problem.actual) == (40_000_000, 400_000_000)
    assert grown_kib < 50_000


def test_headers_are_all_read_before_any_picture_is_decoded() -> None:
    cut = encode(noise(), "JPEG")[:1500]
    assert refusal(cut, claimed_png(20_000, 20_000)).image_index == 1


def test_pixels_are_counted_over_the_whole_ask() -> None:
    settings = Settings(max_ask_pixels=2500)
    problem = refusal(*[plain()] * 3, settings=settings)
    assert (problem.image_index, problem.limit, problem.actual) == (2, 2500, 3072)


def test_bytes_over_the_limit_are_too_large() -> None:
    problem = refusal(plain(), settings=Settings(max_image_bytes=50))
    assert (problem.code, problem.limit) == ("too_large", 50)
    assert problem.actual == len(plain())


def test_same_pixels_in_another_shape_are_another_picture() -> None:
    from PIL import Image

    wide, tall = (encode(Image.new("RGB", size)) for size in ((150, 30), (30, 150)))
    assert look(wide)[0].digest != look(tall)[0].digest


def test_palettes_tell_pictures_apart() -> None:
    from PIL import Image

    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    red = encode(picture)
    picture.putpalette([0, 0, 0, 0, 0, 255])
    assert look(red)[0].digest != look(encode(picture))[0].digest


def test_base64_and_data_uris_give_the_same_bytes() -> None:
    import base64

    text = base64.b64encode(plain()).decode()
    wrapped = base64.encodebytes(plain()).decode()
    for form in (text, wrapped, f"data:image/png;base64,{text}", f"DATA:;base64,{text}"):
        assert from_base64(form, 0, "/images/0/data").data == plain()


@pytest.mark.parametrize(
    "text", ["!!!!", "abc", "data:image/png,abc", "data:text/html;utf8,<b>", "é" * 8, "AAAA=A=="]
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        from_base64(text, 3, "/images/3/data")
    assert (caught.value.image_index, caught.value.field) == (3, "/images/3/data")
    assert text not in caught.value.detail


def test_long_base64_is_decoded_in_steps_without_a_seam() -> None:
    import base64
    import random

    data = random.Random(0).randbytes(1_000_003)
    assert from_base64(base64.b64encode(data).decode(), 0, "").data == data
