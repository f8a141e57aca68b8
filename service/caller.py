"""Who is asking: the key of a request, checked for its scope and its pace. Deny by default.

A dependency of routers, never a look at a path: what the URL says decides nothing here. Without
a file of keys everybody is the same caller. All of them are coroutines, though they wait for
nothing: FastAPI would run each plain function in a thread.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from service.desk import Desk
from service.keys import ANYBODY, Key, Scope
from service.problems import Problem

BEARER = HTTPBearer(auto_error=False, scheme_name="Bearer")
HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="Key")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
Header = Annotated[str | None, Security(HEADER)]


async def desk_of(request: Request) -> Desk:
    """The live objects of this gateway."""
    desk: Desk = request.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(desk_of)]


async def known_caller(request: Request) -> Key:
    """Whom `may` let in: a route that it does not guard has no caller, and fails."""
    key: Key = request.state.key
    return key


TheCaller = Annotated[Key, Depends(known_caller)]


def may(scope: Scope, *, paced: bool = False) -> Callable[..., Awaitable[Key]]:
    """A dependency that lets only keys with this scope pass, and says whose request it is.

    `paced`: it also takes one ask out of the key's pace. Raises Problem `unauthorized`,
    `forbidden`, `rate_limited`. One dependency and not three: each costs every request its time.
    """

    async def allowed(request: Request, bearer: Bearer, header: Header) -> Key:
        desk = await desk_of(request)
        key = _key(desk, bearer, header)
        if scope not in key.scopes:
            raise Problem("forbidden", f"Use a key with the scope `{scope}`; this one lacks it.")
        if paced:
            await _take_a_turn(desk, key)
        request.state.key = key
        return key

    return allowed


def _key(desk: Desk, bearer: HTTPAuthorizationCredentials | None, header: str | None) -> Key:
    if desk.keys is None:
        return ANYBODY
    given = bearer.credentials if bearer is not None else header
    key = desk.keys.find(given) if given else None
    if key is None:
        raise Problem(
            "unauthorized",
            "Send a known key as `Authorization: Bearer <key>` or `X-API-Key: <key>`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return key


async def _take_a_turn(desk: Desk, key: Key) -> None:
    if key.asks_per_minute is None:
        return
    wait = await desk.pace.wait_seconds(key.name, key.asks_per_minute, key.burst)
    if wait > 0:
        raise Problem(
            "rate_limited",
            f"This key may ask {key.asks_per_minute:g} times a minute; send it again later.",
            limit=key.asks_per_minute,
            headers={"Retry-After": str(int(wait) + 1)},
        )
