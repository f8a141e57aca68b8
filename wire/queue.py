"""The queue: a Celery app whose only message is "look", with the id of an ask.

Losing, repeating or reordering messages is harmless: the ledger hands out work and its reaper
sends again what vanished. Nothing here knows what an ask says or what a worker does with it.
"""

import asyncio
from typing import Any, Literal

import kombu.entity
import structlog
from celery import Celery
from kombu.exceptions import KombuError, OperationalError

from wire import broker
from wire.errors import StoreUnavailable
from wire.postcard import Postcard, UnknownForm
from wire.settings import REDIS_SCHEMES, WireSettings

TASK = "myopia.look"
Role = Literal["gateway", "worker"]
log = structlog.get_logger(__name__)


def celery_app(
    settings: WireSettings, role: Role, concurrency: int = 1, worker_id: str | None = None
) -> Celery:
    """Make the Celery app of one process; opens no connection.

    A worker with an id also listens to a queue of its own, in which others `call` it.
    """
    app = Celery("myopia", amqp=broker.PROTOCOL, set_as_current=role == "worker")
    app.conf.update(_common(settings))
    app.conf.update(_transport(settings, role))
    if role == "worker":
        app.conf.update(_working(concurrency))
        if worker_id is not None:
            app.amqp.queues.add(_own_queue(settings, worker_id))
    return app


def _own_queue(settings: WireSettings, worker_id: str) -> kombu.entity.Queue:
    """A queue that the default exchange reaches by name; RabbitMQ forgets it after a minute."""
    name = settings.calls_prefix + worker_id
    kind = {"x-queue-type": "classic"}
    everywhere = kombu.entity.Exchange("")  # type: ignore[no-untyped-call]
    return kombu.entity.Queue(  # type: ignore[no-untyped-call]
        name, everywhere, name, queue_arguments=kind, expires=60
    )


def _common(settings: WireSettings) -> dict[str, Any]:
    return {
        "broker_url": settings.broker,
        "task_default_queue": settings.queue_name,
        # JSON only: a pickle in the broker would be code execution (CVE-2021-23727's family).
        "task_serializer": "json",
        "accept_content": ["json"],
        # One reply path, the events: no result backend, two round trips fewer per ask.
        "task_ignore_result": True,
        "result_backend": None,
        "task_track_started": False,
        # Twice within a fifth of a second, then an error: the record is in the ledger already.
        "task_publish_retry": True,
        "task_publish_retry_policy": {
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.1,
            "interval_max": 0.2,
        },
        "enable_utc": True,
    }


def _working(concurrency: int) -> dict[str, Any]:
    return {
        # All tasks in one process feed one engine; any other pool cannot batch.
        "worker_pool": "threads",
        "worker_concurrency": concurrency,
        # With late acks: as many messages as slots, and none hoarded from other workers.
        "worker_prefetch_multiplier": 1,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # A broker that restarts is waited for, at start and later, without end.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # No remote control: nobody on the broker may tell a worker what to do.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        # Logging and standard output are the process' own.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # Draining is ours: the threads pool cannot stop a task, the engine can.
        "worker_soft_shutdown_timeout": 0,
    }


def _transport(settings: WireSettings, role: Role) -> dict[str, Any]:
    is_worker = role == "worker"
    connect = 3.0 if is_worker else settings.connect_timeout_seconds
    if not settings.broker.startswith(REDIS_SCHEMES):
        return {
            "broker_connection_timeout": connect,
            "broker_heartbeat": 20,
            # A publisher learns that the broker has the message, or gets an error.
            "broker_transport_options": {"confirm_publish": True, **_retries(role)},
            "task_default_queue_type": "quorum",
        }
    return {
        "broker_transport": broker.TRANSPORT,
        "broker_connection_timeout": connect,
        "broker_transport_options": {
            # A popped message whose worker died comes back after this; only hygiene, since the
            # ledger's reaper is quicker and a message that comes twice finds nothing to do.
            "visibility_timeout": 900,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            # Must exceed BRPOP's one second; a half-open socket is noticed after it.
            "socket_timeout": 10 if is_worker else settings.reply_timeout_seconds,
            "socket_connect_timeout": connect,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "client_name": f"myopia-{role}",
            **_retries(role),
        },
    }


def _retries(role: Role) -> dict[str, float]:
    """How often a publisher tries to connect; a worker's consumer tries for ever by itself."""
    if role == "worker":
        return {}
    return {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


class Queue:
    """The publishing side; safe to share between threads."""

    def __init__(self, settings: WireSettings, app: Celery | None = None) -> None:
        self._app = app or celery_app(settings, "gateway")
        self._calls_prefix = settings.calls_prefix
        self._settings = settings

    def postcard(self) -> Postcard | None:
        """Writes the messages that the ledger posts itself; None with a broker elsewhere.

        None too where Celery has a new form of message: then each is sent through Celery.
        """
        if self._settings.broker != self._settings.durable_url:
            return None
        try:
            return Postcard(celery_app(self._settings, "gateway"), TASK)
        except UnknownForm as form:
            log.warning("messages are sent one by one: their form is new", form=str(form))
            return None

    def send(self, ask_id: str) -> None:
        """Tell some worker to look; `StoreUnavailable` within a second without a broker.

        After `Accepted` an error here loses nothing: the reaper sends what nobody looked at.
        """
        try:
            self._app.send_task(TASK, args=(ask_id,))
        except (OperationalError, KombuError, OSError) as error:
            raise StoreUnavailable("The broker does not answer") from error

    def call(self, worker_id: str, ask_id: str) -> None:
        """Tell one worker to look; nothing comes of it when that worker is gone."""
        own = self._calls_prefix + worker_id
        try:
            self._app.send_task(TASK, args=(ask_id,), exchange="", routing_key=own)
        except (OperationalError, KombuError, OSError) as error:
            raise StoreUnavailable("The broker does not answer") from error

    async def asend(self, ask_id: str) -> None:
        """`send` in a thread, since a publish takes 1 ms, and much longer without a broker."""
        await asyncio.to_thread(self.send, ask_id)

    def close(self) -> None:
        """Close the pooled connections."""
        self._app.close()
