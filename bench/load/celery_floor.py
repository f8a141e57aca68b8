"""A bare Celery no-op with the Redis of MYOPIA_REDIS_URL: the floor under the queue.

Run as a module it is the worker; imported, `app` and `nothing` are the sender's side.
"""

import os

from celery import Celery

app = Celery("floor")
app.conf.update(
    broker_url=os.environ.get("MYOPIA_REDIS_URL", ""),
    result_backend=os.environ.get("MYOPIA_REDIS_URL", ""),
    task_default_queue="floor",
    worker_prefetch_multiplier=1,
)


@app.task(name="floor.nothing")  # type: ignore[untyped-decorator]
def nothing() -> int:
    """Do nothing."""
    return 1


if __name__ == "__main__":
    app.worker_main(
        [
            "worker",
            "--pool=threads",
            "--concurrency=4",
            "--loglevel=warning",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
