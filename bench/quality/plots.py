"""Draws the quality page's plots from the measured JSON.

Knows the summary's shape, not how anything was measured.
"""

import re
from collections.abc import Mapping
from typing import Any

from bench.charts import heat, lines
from bench.quality.grid import ALPHAS, FULL, GAMMAS, NONE, SURFACE_BUDGET
from myopia.policies import POLICIES

Json = Mapping[str, Any]
PRUNERS = [name for name in POLICIES if name != FULL]


def plots(results: Json) -> dict[str, str]:
    """SVG text by file name without ending."""
    drawn: dict[str, str] = {}
    for protocol, rows in results["main"]["protocols"].items():
        groups = rows["places"][FULL]
        most = max(int(group.split("/")[0]) for group in groups)
        count = sum(group.startswith(f"{most}/") for group in groups)
        keys = [f"{most}/{k}" for k in range(1, most + 1) if f"{most}/{k}" in groups]
        names = [FULL, NONE, *(f"{p}@0.2" for p in PRUNERS if f"{p}@0.2" in rows["places"])]
        drawn[f"places-{protocol}"] = lines(
            f"Score by place of the evidence among {most} pictures, 20 % ({protocol})",
            [key.split("/")[1] for key in keys[:count]],
            {n.split("@")[0]: [rows["places"][n].get(k, [None])[0] for k in keys] for n in names},
            top=100,
        )
    for protocol, rows in results.get("surface", {}).get("protocols", {}).items():
        drawn[f"surface-{protocol}"] = heat(
            f"Score by gamma (rows) and alpha (columns), {protocol}",
            [f"{alpha:g}" for alpha in ALPHAS],
            {
                f"gamma {gamma:g}": [
                    rows["overall"][f"gamma {gamma:g} alpha {alpha:g}@{SURFACE_BUDGET:g}"]["mean"]
                    for alpha in ALPHAS
                ]
                for gamma in GAMMAS
            },
        )
    for name, levels in results.get("profile", {}).items():
        drawn[f"profile-{slug(name)}"] = lines(
            f"Attention on each image: {name}",
            [str(k + 1) for k in range(len(levels[0]))],
            {f"layer {layer}": row for layer, row in enumerate(levels)},
        )
    return drawn


def slug(name: str) -> str:
    """A name that a file can have."""
    return re.sub(r"[^\w.]+", "-", name)
