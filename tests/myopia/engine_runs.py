"""Runs an engine to its end, as most of its tests do."""

from typing import Any

from myopia.engine import Engine, EngineConfig
from myopia.params import Picture, Request, Turn
from myopia.report import Finished
from tests.myopia.tiny import draw

MIB = 2**20
CONFIG = EngineConfig(kv_bytes=16 * MIB)


def picture(seed: int, width: int = 336, height: int = 336) -> Picture:
    return Picture(draw(seed, width, height), f"{seed}-{width}x{height}")


def asking(ask_id: str, *parts: Picture | str, **fields: Any) -> Request:
    return Request(ask_id, (Turn("user", parts),), **fields)


def run(engine: Engine, *requests: Request) -> dict[str, tuple[list[int], Finished]]:
    """Add all, step until nothing is left; tokens and ending by ask."""
    for request in requests:
        engine.add(request)
    tokens: dict[str, list[int]] = {request.ask_id: [] for request in requests}
    texts: dict[str, str] = dict.fromkeys(tokens, "")
    ended: dict[str, Finished] = {}
    while engine.has_work:
        for output in engine.step():
            assert output.ask_id not in ended
            assert output.failed is None, repr(output.failed.__cause__ or output.failed)
            tokens[output.ask_id] += output.tokens
            texts[output.ask_id] += output.text
            if output.finished is not None:
                ended[output.ask_id] = output.finished
                assert texts[output.ask_id] == output.finished.answer
    assert engine.slots.extents.held == {}
    assert engine.reader.workspace.held == 0
    return {ask_id: (tokens[ask_id], ended[ask_id]) for ask_id in tokens}
