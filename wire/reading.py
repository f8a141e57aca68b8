"""Reads an ask written by another process, perhaps of another version, or refuses it by name.

What cannot be read must still end: the refusal carries a code and the field to blame.
"""

from pydantic import ValidationError

from wire.errors import MessageRefused
from wire.messages import VERSION, Ask


def read_ask(text: str) -> Ask:
    """Parse an ask; raises MessageRefused that names the first field at fault, and no input."""
    try:
        return Ask.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        pointer = "/" + "/".join(str(step) for step in first["loc"])
        if pointer == "/version":
            detail = f"the message's version is not {VERSION}; run one version everywhere"
        else:
            detail = f"the message cannot be read at {pointer}: {first['msg']}"
        raise MessageRefused(detail, pointer) from error
