"""What can go wrong between the processes.

    WireError
    ├── StoreUnavailable   Redis or the broker does not answer; try again later
    │   ├── StoreFull      Redis is up and refuses writes (maxmemory, read-only)
    │   └── WrongSetting   a store is up and refuses what a setting says, which it names
    ├── AskLost            an ask that was accepted is not in the store any more
    └── MessageRefused     a message of an unknown version or shape; carries a code

No message quotes a URL, since URLs carry passwords.
"""

from wire.codes import Code


class WireError(Exception):
    """Anything that goes wrong between the processes."""


class StoreUnavailable(WireError):
    """Redis or the broker does not answer."""


class StoreFull(StoreUnavailable):
    """Redis answers, and refuses to write."""


class WrongSetting(StoreUnavailable):
    """A store answers, and refuses what a setting says: a person must change one of the two."""

    def __init__(self, setting: str, detail: str) -> None:
        super().__init__(f"{setting}: {detail}")
        self.setting = setting


class AskLost(WireError):
    """An ask that was accepted is not in the store any more: wiped, or past its retention."""

    code: Code = "store_lost"

    def __init__(self, ask_id: str) -> None:
        super().__init__(f"The store has no record of {ask_id}; ask again.")
        self.ask_id = ask_id


class MessageRefused(WireError):
    """A message that this version cannot read; `field` is a JSON pointer."""

    code: Code = "bad_request"

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
