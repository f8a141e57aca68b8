"""What CI holds a change against: the reduced run's means, and whether they have dropped.

Knows lines and the record's shape. Means are over the datasets that the record names, so that one
that has become unreadable cannot leave the comparison.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.quality.lines import Line
from bench.quality.summary import DEFAULT, informative, overall

ALLOWED_DROP = 2.0
HELD = f"{DEFAULT}@0.2"


def means(lines: Sequence[Line], margin: float) -> dict[str, Any]:
    """The record: datasets that count, and means per protocol and variant."""
    return _means(lines, informative(lines, margin))


def check(lines: Sequence[Line], record: Path) -> list[str]:
    """What dropped: the default policy at .2, by protocol, more than `ALLOWED_DROP` points.

    Raises ValueError where the record has nothing to hold against.
    """
    wanted = json.loads(record.read_text(encoding="utf-8")).get("reduced", {})
    if not wanted.get("datasets") or not wanted.get("protocols"):
        raise ValueError(f"{record} records no reduced run: write it with `make bench-quality`")
    now = _means(lines, wanted["datasets"])["protocols"]
    dropped = []
    for protocol, rows in wanted["protocols"].items():
        before, after = rows[HELD], now.get(protocol, {}).get(HELD, 0.0)
        print(f"{protocol}: {HELD} scores {after:.1f}, recorded {before:.1f}")
        if after < before - ALLOWED_DROP:
            dropped.append(
                f"{protocol}: {after:.1f} is more than {ALLOWED_DROP} below {before:.1f}"
            )
    return dropped


def _means(lines: Sequence[Line], datasets: Sequence[str]) -> dict[str, Any]:
    counted = [line for line in lines if line.dataset in datasets]
    protocols = sorted({line.protocol for line in counted})
    return {
        "datasets": list(datasets),
        "protocols": {
            protocol: {
                name: cell["mean"]
                for name, cell in overall([x for x in counted if x.protocol == protocol]).items()
            }
            for protocol in protocols
        },
    }
