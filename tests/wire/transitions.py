"""Short ways to bring an ask from one state to another, and to look at it."""

from wire.ledger import Ledger
from wire.messages import EVENT
from wire.records import Claim
from wire.store import Store


def take(ledger: Ledger, look: str = "?", worker: str = "w1") -> Claim:
    claim = ledger.claim(worker, look)
    assert claim is not None
    return claim


def events_of(store: Store, ask_id: str) -> list[str]:
    rows = store.text.xrange(f"myopia:events:{ask_id}")
    return [EVENT.validate_json(fields["e"]).kind for _, fields in rows]


def text_of(store: Store, ask_id: str) -> str:
    rows = store.text.xrange(f"myopia:events:{ask_id}")
    events = [EVENT.validate_json(fields["e"]) for _, fields in rows]
    return "".join(event.text for event in events if event.kind == "token")


def expire_lease(store: Store, ask_id: str) -> None:
    store.text.zadd("myopia:running", {ask_id: 1})


def state_of(ledger: Ledger, ask_id: str) -> str:
    record = ledger.get(ask_id)
    assert record is not None
    return record.state
