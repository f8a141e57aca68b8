"""Asks to put into the ledger, numbered so that a test can name them."""

import itertools
import time

from wire.messages import Ask, Done, TextPart, Turn

_numbers = itertools.count()


def make_ask(question: str = "What?", timeout_seconds: float = 60, **fields: object) -> Ask:
    turn = Turn(role="user", parts=(TextPart(text=question),))
    number = next(_numbers)
    return Ask.model_validate(
        {
            "ask_id": f"ask_{number:08d}",
            "turns": (turn,),
            "deadline": time.time() + timeout_seconds,
            **fields,
        }
    )


def make_done(answer: str = "yes") -> Done:
    return Done(model="fake", answer=answer, finish_reason="stop")
