"""`python -m bench.affinity.worker`: a real worker process round the engine that remembers.

BENCH_ALBUMS: how many albums it keeps. BENCH_READ_MS, BENCH_STEP_MS: what reading and a step take.
"""

import os
import sys

from bench.affinity.engine import RememberingEngine
from worker.engines import Opened
from worker.main import main
from worker.settings import WorkerSettings


def open_remembering(_: WorkerSettings) -> Opened:
    """The engine of these variables."""
    engine = RememberingEngine(
        int(os.environ["BENCH_ALBUMS"]),
        float(os.environ["BENCH_READ_MS"]) / 1000,
        float(os.environ["BENCH_STEP_MS"]) / 1000,
    )
    return Opened(engine, "remembering", "1", {"name": "remembering", "context": 32768})


if __name__ == "__main__":
    sys.exit(main(opener=open_remembering))
