"""`python -m tests.worker.fake_main`: a real worker process round the fake engine.

FAKE_STEP_MS: how long a step takes. FAKE_RUN_LOG: a file that gets the id of every ask begun.
"""

import os
import sys
from pathlib import Path

from tests.worker.fake_engine import FakeEngine
from worker.engines import Opened
from worker.main import main
from worker.settings import WorkerSettings


def open_fake(settings: WorkerSettings) -> Opened:
    log = os.environ.get("FAKE_RUN_LOG")
    engine = FakeEngine(
        step_seconds=float(os.environ.get("FAKE_STEP_MS", "2")) / 1000,
        log=Path(log) if log else None,
    )
    return Opened(engine, "fake", "fake-1", {"name": "fake", "context": 4096})


if __name__ == "__main__":
    sys.exit(main(opener=open_fake))
