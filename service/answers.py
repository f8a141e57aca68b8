"""When two asks are the same: the key under which answers are stored and asks in flight joined.

The key covers everything that decides an answer and whose it is. Nothing here knows where the
answers lie (`wire.answers`) or how an ask runs.
"""

import hashlib
import json

from wire.messages import Ask

KEY_VERSION = 1  # Raise it when pictures or prompts are prepared differently by the same model.


def is_deterministic(ask: Ask) -> bool:
    """Whether the same ask always gets the same answer: greedy, or sampled with a seed."""
    return ask.generation.temperature == 0 or ask.generation.seed is not None


def answer_key(ask: Ask, model: str, tenant: str) -> str:
    """SHA-256 in hex over pictures in order, texts, every param, the model and the tenant.

    Left out are the ask's name, its deadline and its trace, which change no answer. JSON of
    sorted keys keeps neighbouring texts apart, so no two asks share a key by concatenation.
    """
    said = ask.model_dump(mode="json", exclude={"ask_id", "deadline", "traceparent"})
    whole = {"version": KEY_VERSION, "model": model, "tenant": tenant, "ask": said}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
