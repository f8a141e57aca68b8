"""What OpenAPI shows as examples of answers: an ask that waits, one that is done, a stream.

Plain data, held against the schemas by a test. Examples of what is sent stand in `openapi`.
"""

import json
from typing import Any

ASK_ID = "ask_5f0c2b1e8d3a4f6c9b7e0a1d2c3b4a59"
ANSWER: dict[str, Any] = {
    "id": ASK_ID,
    "model": "pocket",
    "answer": "2",
    "finish_reason": "stop",
    "usage": {
        "prompt_tokens": 410,
        "text_tokens": 26,
        "image_tokens": 384,
        "kept_tokens": 76.8,
        "bin_tokens": 6,
        "completion_tokens": 2,
        "kv_bytes": 668467,
        "kv_bytes_full": 2519040,
        "budget_effective": 0.2,
    },
    "cache": {"result": "miss", "features": 0, "prefill": "none"},
    "timings": {
        "queue_ms": 2410,
        "vision_ms": 31.2,
        "prefill_ms": 48.5,
        "prune_ms": 3.1,
        "first_token_ms": 2494.1,
        "decode_ms": 5.9,
        "total_ms": 2500,
    },
    "warnings": [],
    "explain": None,
}
WAITING = {"status": "queued", "position": 3, "expected_wait_seconds": 2.4}
RUNNING = {"status": "running", "position": None, "expected_wait_seconds": None}
_OPEN = {
    "id": ASK_ID,
    "created_at": 1795363200.0,
    "deadline": 1795363260.0,
    "answer": None,
    "error": None,
}
QUEUED: dict[str, Any] = {**_OPEN, **WAITING}
ASK_STATES: dict[str, Any] = {
    "queued": {"summary": "Third in line", "value": QUEUED},
    "running": {"summary": "A worker has it", "value": {**_OPEN, **RUNNING}},
    "done": {
        "summary": "Answered",
        "value": {**_OPEN, **RUNNING, "status": "done", "answer": ANSWER},
    },
}


def _event(kind: str, place: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\nid: {ASK_ID}/{place}\n\n"


STREAM = (
    _event("progress", "0-0.1795363200203", WAITING)
    + _event(
        "progress", "0-0.1795363201690", {**WAITING, "position": 1, "expected_wait_seconds": 0.8}
    )
    + _event("progress", "0-0.1795363202410", RUNNING)
    + _event("token", "1795363202494-0", {"text": "2"})
    + _event("done", "1795363202500-0", ANSWER)
)
