"""Those who ask: through ledger and queue as a gateway would, or through a gateway over HTTP.

Each writes into the books what was accepted, before anything can go wrong with it.
"""

import asyncio
import base64
import io
import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from PIL import Image

from tests.system.chaos.books import Books, Line
from wire.errors import AskLost, StoreUnavailable
from wire.ledger import AsyncLedger
from wire.mailbox import AsyncMailbox
from wire.messages import Ask, TextPart, Turn
from wire.queue import Queue
from wire.records import Accepted
from wire.settings import WireSettings
from wire.store import AsyncStore

ASK_SECONDS = 120.0
_numbers = itertools.count()


def new_ask(question: str, timeout_seconds: float = ASK_SECONDS) -> Ask:
    turn = Turn(role="user", parts=(TextPart(text=question),))
    ask_id = f"ask_{uuid.uuid4().hex}"
    return Ask(ask_id=ask_id, turns=(turn,), deadline=time.time() + timeout_seconds)


def new_question(steps: int) -> str:
    return f"question {next(_numbers)} {uuid.uuid4().hex[:6]} steps={steps}"


class LedgerAskers:
    """Keeps `outstanding` asks in flight, each followed to its ending by its events."""

    def __init__(
        self, settings: WireSettings, books: Books, *, outstanding: int, steps: int
    ) -> None:
        self._books, self._outstanding, self._steps = books, outstanding, steps
        self._store = AsyncStore(settings)
        self._ledger = AsyncLedger(self._store)
        self._mailbox = AsyncMailbox(self._store)
        self._queue = Queue(settings)
        self._asking = True
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        self._tasks = [asyncio.create_task(self._ask_on()) for _ in range(self._outstanding)]

    async def end(self) -> None:
        """Ask no more, and wait for what is in flight."""
        self._asking = False
        await asyncio.gather(*self._tasks)
        await self._mailbox.close()
        await self._store.close()
        self._queue.close()

    async def _ask_on(self) -> None:
        while self._asking:
            question = new_question(self._steps)
            ask = new_ask(question)
            line = Line(ask.ask_id, question, time.monotonic(), sure=False)
            self._books.lines[ask.ask_id] = line
            try:
                line.sure = isinstance(await self._ledger.submit(ask), Accepted)
            except StoreUnavailable:
                self._books.refused += 1
                await asyncio.sleep(0.1)
                continue
            await self._send(ask.ask_id)
            await self._follow(line)

    async def _send(self, ask_id: str) -> None:
        try:
            await self._queue.asend(ask_id)
        except StoreUnavailable:
            return  # the reaper sends it

    async def _follow(self, line: Line) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                async for _, event in self._mailbox.events(line.ask_id):
                    if event.kind != "token":
                        line.took_seconds = time.monotonic() - line.asked_at
        except (AskLost, StoreUnavailable, TimeoutError):
            return  # the books find it


def picture_bytes(number: int) -> bytes:
    """A small PNG that differs for each number."""
    color = (number % 256, number // 256 % 256, number // 65536 % 256)
    file = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(file, "PNG")
    return file.getvalue()


PICTURE = base64.b64encode(picture_bytes(7)).decode()


@dataclass
class Reply:
    """What one HTTP request came to; status 0 where the connection broke."""

    status: int
    seconds: float
    at: float
    code: str = ""
    answer: str = ""
    ask_id: str = ""
    retry_after: str | None = None


@dataclass
class HttpAsker:
    """Asks one gateway; remembers every reply."""

    url: str
    key: str | None = None
    replies: list[Reply] = field(default_factory=list)
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        limits = httpx.Limits(max_connections=400, max_keepalive_connections=100)
        self.client = httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=ASK_SECONDS, limits=limits
        )

    def body(self, question: str, **fields: object) -> dict[str, object]:
        return {"question": question, "images": [{"data": PICTURE}], **fields}

    async def ask(self, question: str, **fields: object) -> Reply:
        began = time.monotonic()
        reply = Reply(0, 0, began)
        try:
            answer = await self.client.post("/v1/ask", json=self.body(question, **fields))
            said = answer.json()
            reply.status = answer.status_code
            reply.code = said.get("code", "")
            reply.answer = said.get("answer", "") or ""
            reply.ask_id = answer.headers.get("x-ask-id", "")
            reply.retry_after = answer.headers.get("retry-after")
        except (httpx.HTTPError, ValueError) as error:
            reply.code = type(error).__name__
        reply.seconds = time.monotonic() - began
        self.replies.append(reply)
        return reply

    async def keep_asking(self, is_on: Callable[[], bool], steps: int, pause: float) -> None:
        while is_on():
            reply = await self.ask(new_question(steps))
            await asyncio.sleep(pause if reply.status == 200 else max(pause, 0.05))

    async def close(self) -> None:
        await self.client.aclose()
