"""The fast way from picture to tiles equals the stock processor; labels lie where things are."""

import numpy as np
import pytest
from PIL import Image

from pocket.albums import sample_album
from pocket.draw import draw
from pocket.labels import NONE, label
from pocket.scene import shape_number
from pocket.tiles import cut, packing, tiling
from pocket.tokenizer import build_processor

ODD_SIZES = [(1, 1), (50, 2), (3, 50), (640, 480), (333, 1024), (1000, 77), (64, 64), (64, 65)]


@pytest.mark.parametrize("size", ODD_SIZES)
def test_noise_of_odd_sizes(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    _check(Image.fromarray(noise))


def test_drawn_pictures() -> None:
    for scene in sample_album(5).scenes:
        _check(draw(scene))


def _check(picture: Image.Image) -> None:
    processor = build_processor()
    stock = processor.image_processor(picture, return_tensors="np").pixel_values[0]
    fast = cut(picture).transpose(0, 3, 1, 2).astype(np.float32) / 255 * 2 - 1
    assert stock.shape == fast.shape
    np.testing.assert_allclose(stock, fast, atol=1e-6)
    sizes = [picture.size[::-1]]
    tokens = processor._get_num_multimodal_tokens(sizes)["num_image_tokens"][0]
    assert tokens == tiling(*picture.size).tokens == len(packing(*picture.size))


def test_labels_name_every_thing_somewhere() -> None:
    for seed in range(10):
        for scene in sample_album(seed).scenes:
            labels = label(scene)
            assert labels.kind.shape == (tiling(scene.width, scene.height).tiles, 16)
            for number, thing in enumerate(scene.things):
                named = labels.kind[labels.thing == number]
                wanted = shape_number(thing.kind)
                assert (labels.kind == wanted).any()
                assert set(named.tolist()) <= {wanted, -1, NONE}
