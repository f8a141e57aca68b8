"""Logs as one JSON object per line on standard error; each line about an ask carries its id."""

import logging
import sys

import structlog


def configure() -> None:
    """Set up structlog, and the standard library's logging for Celery and others."""
    logging.basicConfig(
        level=logging.INFO,
        format='{"level": "%(levelname)s", "logger": "%(name)s", "event": "%(message)s", '
        '"timestamp": "%(asctime)s"}',
    )
    for noisy in ("celery.worker.strategy", "celery.app.trace", "httpx", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
