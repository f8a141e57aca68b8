"""Paired bootstrap intervals and standard errors. Knows numbers only, not what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the central 95 % of its bootstrap distribution."""

    mean: float
    low: float
    high: float


def paired_interval(
    strata: Sequence[Sequence[float]], *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Interval of the mean over strata of the mean difference within each stratum.

    `strata`: per dataset, one difference per sample. Samples are drawn with replacement inside
    their own dataset, so that a task stays the plain mean of its datasets.
    """
    if not strata or any(len(stratum) == 0 for stratum in strata):
        raise ValueError("every stratum needs at least one paired sample")
    generator = np.random.default_rng(seed)
    total = np.zeros(resamples)
    for stratum in strata:
        values = np.asarray(stratum, dtype=np.float64)
        drawn = generator.integers(0, len(values), size=(resamples, len(values)))
        total += values[drawn].mean(axis=1)
    total /= len(strata)
    low, high = np.percentile(total, (2.5, 97.5))
    mean = sum(float(np.mean(stratum)) for stratum in strata) / len(strata)
    return Interval(mean, float(low), float(high))


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean; 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))
