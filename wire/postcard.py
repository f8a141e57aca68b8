"""The message that says "look" as text: what Celery itself writes, with an ask's id put in.

Where the broker is the durable Redis the ledger posts it in the step that lets the ask in, so that
none is lost between the two and no thread or round trip is needed. Celery and kombu write the
pattern at start, whatever their version; what they do with a message is their own business.
"""

import base64
import json
import uuid
from typing import Any

from celery import Celery

ASK, MESSAGE, TAG, BODY = "postcard-ask", "postcard-message", "postcard-tag", "postcard-body"


class UnknownForm(ValueError):
    """The message is not of the form that can be filled in."""


class Postcard:
    """Writes messages of one task that a Redis broker's consumers read from its list.

    `app`: a Celery app of the sender's settings, used up by this. Raises `UnknownForm` where
    Celery writes something that this does not understand.
    """

    def __init__(self, app: Celery, task: str) -> None:
        written = _as_written(app, task)
        if written.get("properties", {}).get("body_encoding") != "base64":
            raise UnknownForm(sorted(written))
        self.list_name: str = app.conf.task_default_queue
        self._body = base64.b64decode(written["body"]).decode()
        written["properties"]["delivery_tag"] = TAG
        self._message = json.dumps({**written, "body": BODY})

    def write(self, ask_id: str) -> str:
        """The message about one ask, an id of `[A-Za-z0-9_-]`; pushed to the left of the list."""
        body = base64.b64encode(self._body.replace(ASK, ask_id).encode()).decode()
        filled = self._message.replace(ASK, ask_id).replace(MESSAGE, str(uuid.uuid4()))
        return filled.replace(TAG, str(uuid.uuid4())).replace(BODY, body)


def _as_written(app: Celery, task: str) -> dict[str, Any]:
    """One message of this task as this app sends it, caught in memory; the app is used up."""
    app.conf.update(broker_url="memory://", broker_transport=None, broker_transport_options={})
    app.send_task(task, args=(ASK,), task_id=MESSAGE)
    with app.connection_for_write() as connection, connection.channel() as channel:
        written: dict[str, Any] = channel._get(app.conf.task_default_queue)
    app.close()
    return written
