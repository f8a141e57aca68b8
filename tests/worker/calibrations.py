"""A small calibration by hand, for tests that need to know which cell speaks."""

import json
from pathlib import Path
from typing import Any

from wire.pruning import Pruning
from worker.calibration import AMOUNT

KNOBS = Pruning().model_dump(mode="json", exclude=AMOUNT)


def cell(kind: str, images: int, **agreement: float) -> dict[str, Any]:
    shares = {name.removeprefix("at_").replace("_", "."): v for name, v in agreement.items()}
    return {"kind": kind, "images": images, "questions": 40, "agreement": shares}


CELLS = [
    cell("choice", 2, at_0_4=1.0, at_0_2=0.99, at_0_1=0.97, at_0_05=0.9),
    cell("choice", 6, at_0_4=1.0, at_0_2=0.96, at_0_1=0.8, at_0_05=0.96),
    cell("open", 6, at_0_4=0.96, at_0_2=0.9, at_0_1=0.8, at_0_05=0.7),
]


def table(**fields: Any) -> dict[str, Any]:
    return {"format": 1, "revision": "r1", "pruning": KNOBS, "cells": CELLS, **fields}


def write(path: Path, **fields: Any) -> Path:
    path.write_text(json.dumps(table(**fields)))
    return path
