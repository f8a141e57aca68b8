"""Webhooks: tells an asker's own server how an ask ended, signed as Standard Webhooks says.

A delivery is written to Redis with the ask and stays until it is taken or a day has passed, so a
gateway that dies loses none; several gateways share the work by taking turns on what is due. It
is sent at least once: the receiver compares `webhook-id`.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import structlog
from pydantic import BaseModel, ConfigDict

from service.addresses import Refused, Resolve, Rules, check, parse, resolve
from service.problems import Problem, from_failed
from service.schema import answer_of
from service.settings import Settings
from wire.errors import StoreUnavailable
from wire.ledger import AsyncLedger
from wire.mailbox import AsyncMailbox
from wire.messages import EVENT, Done, Failed, Token
from wire.store import AsyncStore, in_wire_errors

PAUSES_SECONDS = (1, 5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800)
WINDOW_SECONDS = 86_400
LOOK_SECONDS = 0.5
TURN_SECONDS = 30  # Longer than a delivery may take: until then it is this gateway's.
SEND_SECONDS = 10
TAKE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 20)
for _, id in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[2], id) end
return due
"""

log = structlog.get_logger(__name__)


class Delivery(BaseModel):
    """Where to tell of one ask, how often it was tried, until when, and the ending once known.

    The ending is kept here because an ask's record may be gone before its receiver is back.
    """

    model_config = ConfigDict(frozen=True)

    ask_id: str
    url: str
    until: float
    tries: int = 0
    ending: str | None = None

    @property
    def name(self) -> str:
        """One name per ask and address: what the receiver compares."""
        return "msg_" + hashlib.sha256(f"{self.ask_id} {self.url}".encode()).hexdigest()[:32]


def sign(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """The header `webhook-signature` (Source: Standard Webhooks 1.0, symmetric scheme)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class Webhooks:
    """Keeps and sends the deliveries of this store."""

    def __init__(
        self,
        store: AsyncStore,
        mailbox: AsyncMailbox,
        ledger: AsyncLedger,
        settings: Settings,
        resolver: Resolve = resolve,
    ) -> None:
        self._store, self._mailbox, self._ledger = store, mailbox, ledger
        self._resolver = resolver
        secret = settings.webhook_secret
        self._secret = secret.get_secret_value() if secret else None
        self._rules = Rules(
            settings.webhook_hosts, settings.webhook_plain_http, settings.webhook_private_networks
        )
        self._due = f"{settings.namespace}:webhooks:due"
        self._kept = f"{settings.namespace}:webhooks"
        self._take: Any = store.text.register_script(TAKE)

    def check(self, url: str) -> None:
        """Raise Problem unless deliveries to this address are allowed here."""
        if self._secret is None or not self._rules.hosts:
            detail = "Webhooks are off here; remove `webhook_url` and look the ask up instead."
            raise Problem("bad_request", detail, field="/webhook_url")
        try:
            parse(url, self._rules)
        except Refused as reason:
            detail = f"`webhook_url` must be another: {reason.args[0]}."
            raise Problem("bad_request", detail, field="/webhook_url") from None

    async def keep(self, ask_id: str, url: str, ending: Done | None) -> None:
        """Write down that this address is to be told; `ending` where it is known already."""
        now = time.time()
        text = ending.model_dump_json() if ending else None
        kept = Delivery(ask_id=ask_id, url=url, until=now + WINDOW_SECONDS, ending=text)
        await self._write(kept, now)

    async def deliver_forever(self) -> None:
        """Send what is due, for ever; every gateway does."""
        if self._secret is None:
            return
        while True:
            try:
                now = time.time()
                with in_wire_errors():
                    due = await self._take(keys=[self._due], args=[now, now + TURN_SECONDS])
                await asyncio.gather(*(self._deliver(name) for name in due))
                if due:
                    continue
            except StoreUnavailable:
                log.debug("nothing delivered: the store is away")
            await asyncio.sleep(LOOK_SECONDS)

    async def _deliver(self, name: str) -> None:
        with in_wire_errors():
            text = await self._store.text.hget(self._kept, name)
        if text is None:
            await self._drop(name)
            return
        delivery = Delivery.model_validate_json(text)
        if delivery.ending is None:
            ending = await self._mailbox.ending(delivery.ask_id)
            if ending is None:
                await self._look_again(delivery)
                return
            delivery = delivery.model_copy(update={"ending": ending.model_dump_json()})
        now = time.time()
        pause = PAUSES_SECONDS[min(delivery.tries, len(PAUSES_SECONDS) - 1)]
        if await self._send(delivery):
            await self._drop(name)
        elif now + pause > delivery.until:
            log.warning("webhook given up", ask_id=delivery.ask_id, tries=delivery.tries + 1)
            await self._drop(name)
        else:
            tried = delivery.model_copy(update={"tries": delivery.tries + 1})
            await self._write(tried, now + pause)

    async def _look_again(self, delivery: Delivery) -> None:
        """The ask has not ended: look in a second, unless its record is gone."""
        if await self._ledger.get(delivery.ask_id) is None:
            log.warning("webhook of a lost ask", ask_id=delivery.ask_id)
            await self._drop(delivery.name)
        else:
            await self._write(delivery, time.time() + 1)

    async def _send(self, delivery: Delivery) -> bool:
        """Whether the other side took it (2xx), or will never (410)."""
        body, now = message_of(delivery), int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "myopia",
            "webhook-id": delivery.name,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(self._secret or "", delivery.name, now, body),
        }
        try:
            # Checked at every try: a name may lead elsewhere by now.
            target = await check(delivery.url, self._rules, self._resolver)
            async with (
                asyncio.timeout(SEND_SECONDS),
                httpx.AsyncClient(trust_env=False, follow_redirects=False) as client,
            ):
                request = client.build_request(
                    "POST",
                    target.connect_url,
                    content=body,
                    headers={**headers, **target.headers},
                    extensions=target.extensions,
                )
                reply = await client.send(request, stream=True)
                await reply.aclose()
        except (Refused, httpx.HTTPError, TimeoutError, OSError) as error:
            log.info("webhook not taken", ask_id=delivery.ask_id, cause=type(error).__name__)
            return False
        log.info("webhook answered", ask_id=delivery.ask_id, status=reply.status_code)
        return reply.is_success or reply.status_code == 410

    async def _write(self, delivery: Delivery, due: float) -> None:
        with in_wire_errors():
            pipe = self._store.text.pipeline(transaction=True)
            pipe.hset(self._kept, delivery.name, delivery.model_dump_json())
            pipe.zadd(self._due, {delivery.name: due})
            await pipe.execute()

    async def _drop(self, name: str) -> None:
        with in_wire_errors():
            pipe = self._store.text.pipeline(transaction=True)
            pipe.hdel(self._kept, name)
            pipe.zrem(self._due, name)
            await pipe.execute()


def message_of(delivery: Delivery) -> str:
    """What is told: the type, the moment, and the answer or the problem."""
    ending, ask_id = EVENT.validate_json(delivery.ending or ""), delivery.ask_id
    assert not isinstance(ending, Token)
    if isinstance(ending, Failed):
        told: dict[str, Any] = {"type": "ask.failed", "data": from_failed(ending, ask_id).body()}
    else:
        answer = answer_of(ending, ask_id).model_dump(mode="json")
        told = {"type": "ask.done", "data": answer}
    told["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps(told)
