"""The closed list of ways in which an ask can fail.

Codes are part of the HTTP contract: clients branch on them. What status a code has is the
gateway's business; which exception leads to it is the worker's.
"""

from typing import Literal, get_args

Code = Literal[
    "bad_request",
    "bad_image",
    "prompt_too_long",
    "too_large",
    "unsupported_media_type",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "conflict",
    "rate_limited",
    "overloaded",
    "unavailable",
    "store_lost",
    "expired",
    "cancelled",
    "dead",
    "out_of_memory",
    "internal",
]

CODES: tuple[Code, ...] = get_args(Code)
