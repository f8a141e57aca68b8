"""Puts a worker process together, starts it, and ends it: 0 after a drain, else what went wrong.

    0  drained    2  a setting is wrong    70  the engine is broken
    3  Redis, or the bucket for pictures, does not answer

What asks are, and how they are answered, is not known here.
"""

import gc
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog
from celery import Celery
from celery.signals import worker_shutting_down
from pydantic import ValidationError

from myopia.errors import MyopiaError
from myopia.pictures import PictureLimits
from wire import pictures, tracing
from wire.errors import StoreUnavailable, WrongSetting
from wire.ledger import Ledger
from wire.mailbox import Mailbox
from wire.queue import Queue, celery_app
from wire.settings import WireSettings
from wire.store import Store
from wire.workers import Heartbeat
from worker import logs
from worker.drain import Drain
from worker.engines import Opened, OpenEngine, open_engine
from worker.errand import Tools
from worker.health import HealthPort
from worker.leases import Leases
from worker.runner import Runner
from worker.settings import WorkerSettings, new_worker_id
from worker.shadow import POLL_SECONDS, Shadow
from worker.tally import Tally
from worker.task import Look, register
from worker.ticker import Ticker
from worker.vitals import Identity, Reaper, Vitals

log = structlog.get_logger()
WRONG_SETTING, NO_STORE, ENGINE_BROKEN = 2, 3, 70
STORE_WAIT_SECONDS = 10.0
GIVE_BACK_SECONDS = 3.0


class Refusal(Exception):
    """The process must not start; the message names the setting."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_pool(settings: WorkerSettings, arguments: Sequence[str]) -> None:
    """Refuse any pool but threads, asked for by setting or by argument."""
    asked = [settings.pool]
    for place, word in enumerate(arguments):
        if word in ("-P", "--pool"):
            asked += arguments[place + 1 : place + 2]
        elif word.startswith("--pool="):
            asked.append(word.removeprefix("--pool="))
        elif place == 0 or arguments[place - 1] not in ("-P", "--pool"):
            raise Refusal(WRONG_SETTING, f"unknown argument {word}; settings come by MYOPIA_…")
    for pool in asked:
        if pool != "threads":
            raise Refusal(
                WRONG_SETTING,
                f"MYOPIA_POOL={pool}: only `threads` feeds all asks to one engine; "
                "`solo` and `prefork` cannot batch, and lose asks",
            )


def connect(settings: WireSettings) -> Store:
    """Connect to Redis, waiting a little for one that is just starting."""
    store = Store(settings)
    give_up_at = time.monotonic() + STORE_WAIT_SECONDS
    said = False
    while True:
        try:
            store.ping()
            return store
        except WrongSetting as error:
            raise Refusal(WRONG_SETTING, str(error)) from error
        except StoreUnavailable as error:
            if time.monotonic() > give_up_at:
                raise Refusal(NO_STORE, f"MYOPIA_REDIS_URL: {error}") from error
            if not said:
                log.warning("waiting for Redis", setting="MYOPIA_REDIS_URL", cause=str(error))
                said = True
            time.sleep(0.2)


def reach_pictures(settings: WireSettings) -> None:
    """Refuse a bucket that is not there, or not for us."""
    try:
        pictures.reach(settings, STORE_WAIT_SECONDS, writing=False)
    except WrongSetting as error:
        raise Refusal(WRONG_SETTING, str(error)) from error
    except StoreUnavailable as error:
        raise Refusal(NO_STORE, f"MYOPIA_S3_ENDPOINT_URL: {error}") from error


def load(settings: WorkerSettings, opener: OpenEngine) -> Opened:
    """Open the engine, or say which setting to change."""
    try:
        return opener(settings)
    except (MyopiaError, OSError) as error:
        raise Refusal(WRONG_SETTING, f"MYOPIA_MODEL={settings.model}: {error}") from error


class Worker:
    """All parts of one worker process."""

    def __init__(
        self, settings: WorkerSettings, wire: WireSettings, store: Store, opened: Opened
    ) -> None:
        worker_id = new_worker_id()
        self.app: Celery = celery_app(wire, "worker", settings.concurrency, worker_id)
        ledger, self.tally = Ledger(store), Tally()
        self.runner = Runner(opened.engine, self._on_fatal)
        self.leases = Leases(store, ledger, self.runner.cancel, self.runner.drop)
        self.drain = Drain(self.leases, self.runner, settings.grace_seconds)
        queue = Queue(wire, self.app)
        self.shadow = Shadow(
            self.runner,
            self.tally,
            settings.shadow_share,
            lambda: not self.leases.held and not self.drain.has_begun,
        )
        tools = Tools(
            ledger=ledger,
            mailbox=Mailbox(store),
            queue=queue,
            runner=self.runner,
            leases=self.leases,
            tally=self.tally,
            model=opened.model,
            limits=PictureLimits(most_pixels=settings.picture_most_pixels),
            token_interval_seconds=settings.token_interval_ms / 1000,
            patience_seconds=wire.patience_seconds + wire.lease_seconds,
            stopping=lambda: self.drain.has_begun,
            calibration=opened.calibration,
            shadow=self.shadow,
        )
        self.identity = Identity(
            worker_id=worker_id,
            model=opened.model,
            revision=opened.revision,
            facts=opened.facts,
            capacity=settings.concurrency,
            started_at=time.time(),
        )
        self.vitals = Vitals(self.identity, Heartbeat(store), self.runner, self.leases, self.drain)
        look = Look(self.identity.worker_id, tools, self.drain, self.vitals.note_message)
        register(self.app, look)
        reaper = Reaper(ledger, queue, self.vitals, self.tally)
        self.tickers = (
            Ticker("heartbeat", wire.heartbeat_ttl_seconds / 5, self.vitals.beat),
            Ticker("reaper", wire.reap_interval_seconds, reaper.reap),
            *([Ticker("shadow", POLL_SECONDS, self.shadow.tick)] if settings.shadow_share else []),
        )
        self.tally.tick_age.set_function(lambda: self.runner.tick_age_seconds)
        self.health: HealthPort | None = None
        if settings.worker_port:
            self.health = HealthPort(
                settings.worker_host,
                settings.worker_port,
                live=lambda: self.runner.tick_age_seconds < settings.stuck_seconds,
                ready=lambda: (
                    not self.drain.has_begun
                    and self.vitals.beat_age_seconds < wire.heartbeat_ttl_seconds
                ),
                registry=self.tally.registry,
            )

    def run(self) -> int:
        """Work until told to stop; the exit code."""
        worker_shutting_down.connect(self._on_shutting_down)
        self.runner.start()
        self.leases.start()
        if self.health:
            self.health.start()
        for ticker in self.tickers:
            ticker.start()
        log.info("worker ready", worker_id=self.identity.worker_id, model=self.identity.model)
        celery_worker = self.app.Worker(
            pool="threads",
            concurrency=self.identity.capacity,
            loglevel="WARNING",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        celery_worker.start()
        self.vitals.leave()
        self.runner.stop()
        for ticker in self.tickers:
            ticker.stop()
        self.leases.stop()
        log.info("worker stopped", worker_id=self.identity.worker_id)
        return int(celery_worker.exitcode or 0)

    def _on_shutting_down(self, **_: Any) -> None:  # noqa: ANN401  Celery's keyword arguments
        self.drain.begin()

    def _on_fatal(self, cause: str) -> None:
        """Claim no more, and end the process as soon as every ask was given back."""
        self.drain.begin()
        threading.Thread(target=self._end, args=(cause,), name="end", daemon=True).start()

    def _end(self, cause: str) -> None:
        log.error("worker ends", worker_id=self.identity.worker_id, cause=cause)
        give_up_at = time.monotonic() + GIVE_BACK_SECONDS
        while self.leases.held and time.monotonic() < give_up_at:
            time.sleep(0.02)
        self.vitals.leave()
        os._exit(ENGINE_BROKEN)


def main(arguments: Sequence[str] | None = None, opener: OpenEngine = open_engine) -> int:
    """Start a worker from the environment's settings; returns the exit code."""
    logs.configure()
    tracing.start("myopia-worker")
    try:
        settings, wire = WorkerSettings(), WireSettings()
        check_pool(settings, sys.argv[1:] if arguments is None else arguments)
        store = connect(wire)
        reach_pictures(wire)
        opened = load(settings, opener)
        worker = Worker(settings, wire, store, opened)
        # What is there now stays: else the collector walks all of it, for tens of ms, now and then.
        gc.collect()
        gc.freeze()
        return worker.run()
    except ValidationError as error:
        for one in error.errors(include_input=False, include_url=False):
            name = "_".join(str(step) for step in one["loc"]).upper()
            print(f"MYOPIA_{name}: {one['msg']}", file=sys.stderr)
        return WRONG_SETTING
    except Refusal as refusal:
        print(str(refusal), file=sys.stderr)
        return refusal.code
