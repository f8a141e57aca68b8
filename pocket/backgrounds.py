"""Muted backgrounds: plain, gradient, striped, chequered, blotched, noisy; drawn from a seed.

Knows nothing of what is put on them, but can tell the two colours it is made of.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocket.colors import Rgb

STYLES = ("plain", "gradient", "round", "stripes", "checks", "blotches", "noise")
SHARES = (0.36, 0.14, 0.05, 0.12, 0.04, 0.14, 0.15)


@dataclass(frozen=True, slots=True)
class Background:
    """Everything needed to paint the same background again."""

    style: str
    first: Rgb
    second: Rgb
    seed: int
    grain: float


def _muted(rng: np.random.Generator) -> Rgb:
    light = rng.choice(
        [rng.uniform(0, 255), rng.uniform(170, 255), 255.0, 0.0], p=[0.5, 0.32, 0.13, 0.05]
    )
    tint = rng.normal(0, 1, 3) * rng.choice([0.0, 12.0, 26.0], p=[0.3, 0.4, 0.3])
    r, g, b = (int(v) for v in np.clip(light + tint - tint.mean(), 0, 255))
    return r, g, b


def sample_background(rng: np.random.Generator) -> Background:
    """A random background."""
    style = str(rng.choice(STYLES, p=SHARES))
    first = _muted(rng)
    if rng.random() < 0.8:
        shift = rng.normal(0, 26) + rng.normal(0, 8, 3)
        r, g, b = (int(v) for v in np.clip(np.array(first) + shift, 0, 255))
        second = (r, g, b)
    else:
        second = _muted(rng)
    if style == "plain":
        second = first
    grain = float(rng.choice([0.0, rng.uniform(1, 6), rng.uniform(6, 16)], p=[0.6, 0.28, 0.12]))
    return Background(style, first, second, int(rng.integers(1 << 31)), grain)


def _mix(style: str, width: int, height: int, rng: np.random.Generator) -> NDArray[Any]:
    """How much of the second colour stands at each pixel, (H, W) in 0..1."""
    grid: NDArray[Any] = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = grid
    mix: NDArray[Any]
    angle = rng.uniform(0, np.pi * 2)
    along = x * np.cos(angle) + y * np.sin(angle)
    short = min(width, height)
    if style == "gradient":
        mix = (along - along.min()) / max(1.0, float(np.ptp(along)))
    elif style == "round":
        far = np.hypot(x - rng.uniform(0, width), y - rng.uniform(0, height))
        mix = far / max(1.0, float(far.max()))
    elif style == "stripes":
        if rng.random() < 0.5:
            along = x if rng.random() < 0.5 else y
        wave = np.sin(along * (2 * np.pi / (short * rng.uniform(0.04, 0.3))))
        mix = (wave > 0).astype(np.float32) if rng.random() < 0.6 else wave / 2 + 0.5
    elif style == "checks":
        cell = max(2.0, short * rng.uniform(0.05, 0.25))
        mix = ((x // cell + y // cell) % 2).astype(np.float32)
    elif style == "blotches":
        n = int(rng.integers(3, 14))
        small = (rng.random((n, n)) * 255).astype(np.uint8)
        picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        mix = np.asarray(picture, dtype=np.float32) / 255
    else:
        mix = rng.random((height, width), dtype=np.float32)
    return mix


def paint(background: Background, width: int, height: int) -> Image.Image:
    """The background as an RGB picture."""
    if background.style == "plain" and background.grain == 0:
        return Image.new("RGB", (width, height), background.first)
    rng = np.random.default_rng(background.seed)
    first = np.array(background.first, np.float32)
    second = np.array(background.second, np.float32)
    if background.style == "plain":
        picture = np.broadcast_to(first, (height, width, 3)).copy()
    else:
        mix = _mix(background.style, width, height, rng)[..., None]
        picture = first + (second - first) * mix
    if background.grain > 0:
        picture += rng.standard_normal((height, width, 1), dtype=np.float32) * background.grain
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
