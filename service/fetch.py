"""Fetches pictures by address: off unless hosts are allowed, within one budget for a whole ask.

Every hop is checked anew and connected to by the address that was checked; time, bytes and
number are enforced on the stream. What may be connected to is `service.addresses`' business.
"""

import asyncio
from collections.abc import Sequence

import httpx

from service.addresses import Refused, Resolve, Rules, Target, check, resolve
from service.images import Raw
from service.intake import Linked
from service.problems import Problem
from service.settings import Settings

MOST_HOPS = 3
REDIRECTS = (301, 302, 303, 307, 308)
HEADERS = {
    "Accept": "image/*",
    # A compressed reply could unpack to anything; pictures are compressed already.
    "Accept-Encoding": "identity",
    "User-Agent": "myopia",
}


class Fetcher:
    """Gets pictures from other hosts."""

    def __init__(self, settings: Settings, resolver: Resolve = resolve) -> None:
        self._settings = settings
        self._resolver = resolver
        self.rules = Rules(
            settings.fetch_hosts, settings.fetch_plain_http, settings.fetch_private_networks
        )

    async def fetch(self, linked: Sequence[Linked], most_bytes: int) -> list[Raw]:
        """The bytes behind the addresses, in order; raises the first one's Problem.

        `most_bytes` is for each; the settings' budgets of time and number are for all.
        """
        if not linked:
            return []
        settings = self._settings
        if not self.rules.hosts:
            raise _refusal(linked[0], "fetching is off here; send the bytes in `data`.")
        if len(linked) > settings.fetch_max_pictures:
            limit = settings.fetch_max_pictures
            raise _refusal(linked[limit], f"at most {limit} addresses are fetched for one ask.")
        left = settings.max_body_bytes
        raws: list[Raw] = []
        try:
            async with (
                asyncio.timeout(settings.fetch_timeout_seconds),
                httpx.AsyncClient(trust_env=False, follow_redirects=False) as client,
            ):
                for link in linked:
                    data = await self._one(client, link, min(most_bytes, left))
                    left -= len(data)
                    raws.append(Raw(data, link.index, link.field))
        except TimeoutError:
            late = linked[len(raws)]
            seconds = settings.fetch_timeout_seconds
            raise _refusal(late, f"it did not come within {seconds:g} s; send its bytes.") from None
        return raws

    async def _one(self, client: httpx.AsyncClient, link: Linked, most_bytes: int) -> bytes:
        text = link.url
        try:
            for _ in range(MOST_HOPS + 1):
                target = await check(text, self.rules, self._resolver)
                found = await _get(client, target, link, most_bytes)
                if isinstance(found, bytes):
                    return found
                text = str(target.url.join(found))
        except Refused as reason:
            # Refused's texts are ours and quote nothing.
            raise _refusal(link, f"{reason.args[0]}; send the bytes in `data`.") from None
        except httpx.InvalidURL:
            raise _refusal(link, "it leads to no address; send the bytes in `data`.") from None
        except httpx.HTTPError:
            raise _refusal(link, "it cannot be reached; send the bytes in `data`.") from None
        raise _refusal(link, f"it leads on more than {MOST_HOPS} times; send its last address.")


async def _get(
    client: httpx.AsyncClient, target: Target, link: Linked, most_bytes: int
) -> bytes | str:
    """The body, or the place that a redirect names."""
    request = client.build_request(
        "GET",
        target.connect_url,
        headers={**HEADERS, **target.headers},
        extensions=target.extensions,
    )
    reply = await client.send(request, stream=True)
    try:
        if reply.status_code in REDIRECTS and "location" in reply.headers:
            return str(reply.headers["location"])
        if reply.status_code != 200:
            raise _refusal(link, f"its host answered {reply.status_code}; send its bytes.")
        if reply.headers.get("content-encoding", "identity") != "identity":
            raise _refusal(link, "its host compresses it; send the bytes in `data`.")
        parts, size = [], 0
        async for part in reply.aiter_raw():
            size += len(part)
            if size > most_bytes:
                problem = _refusal(link, f"it has more than {most_bytes} bytes; make it smaller.")
                problem.code, problem.limit = "too_large", most_bytes
                raise problem
            parts.append(part)
        return b"".join(parts)
    finally:
        await reply.aclose()


def _refusal(link: Linked, detail: str) -> Problem:
    detail = f"Picture {link.index + 1}: {detail}"
    return Problem("bad_image", detail, link.field, link.index)
