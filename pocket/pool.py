"""A pool of processes that end with the one that started it, however that one ends.

Those of a plain pool wait for work for ever when their starter is killed. Knows no work.
"""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor


def open_pool(jobs: int) -> ProcessPoolExecutor:
    """A pool of `jobs` fresh processes, to be used with `with`."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_starter)


def _end_with_starter() -> None:
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    starter = multiprocessing.parent_process()
    if starter is not None:
        starter.join()
        os._exit(1)
