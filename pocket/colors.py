"""The eight named colours and the shades that people draw them in.

Knows nothing of shapes or backgrounds.
"""

import numpy as np

Rgb = tuple[int, int, int]

ANCHORS: dict[str, tuple[Rgb, ...]] = {
    "red": ((255, 0, 0), (220, 30, 30), (200, 20, 40), (235, 60, 50)),
    "green": ((0, 128, 0), (0, 220, 0), (40, 160, 60), (60, 180, 75), (34, 139, 34)),
    "blue": ((0, 0, 255), (30, 60, 220), (40, 90, 205), (65, 105, 225), (20, 30, 160)),
    "yellow": ((255, 255, 0), (240, 220, 40), (255, 215, 0), (250, 230, 70)),
    "purple": ((128, 0, 128), (150, 50, 200), (160, 32, 240), (110, 40, 150), (145, 30, 180)),
    "cyan": ((0, 255, 255), (0, 200, 210), (64, 224, 208), (70, 220, 235), (0, 180, 190)),
    "white": ((255, 255, 255), (248, 248, 248), (240, 240, 240)),
    "black": ((0, 0, 0), (20, 20, 20), (35, 35, 35)),
}


def sample_shade(color: str, rng: np.random.Generator) -> Rgb:
    """A shade that people would call `color`."""
    anchors = ANCHORS[color]
    first, second = (anchors[int(rng.integers(len(anchors)))] for _ in range(2))
    blend = np.array(first) + (np.array(second) - np.array(first)) * rng.random()
    spread = 5 if color in ("white", "black") else rng.choice([0.0, 8.0, 14.0])
    r, g, b = (int(v) for v in np.clip(blend + rng.normal(0, spread, 3), 0, 255))
    return r, g, b


def distance(one: Rgb, other: Rgb) -> float:
    """Euclidean distance in RGB, 0..441."""
    return float(np.linalg.norm(np.subtract(one, other)))
