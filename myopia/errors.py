"""The library's error tree.

    MyopiaError
    ├── BadRequest        what was asked cannot be done; `field` names what to change
    │   ├── BadImage      a picture cannot be used; `image_index` names it
    │   └── PromptTooLong the prompt does not fit the model's context
    ├── OutOfMemory       the row would not fit in the slots that there are
    ├── Expired           the deadline passed
    └── Unsupported       this model, cache or combination is refused by name

Messages are written for the asker: they say what to change and quote no input.
"""


class MyopiaError(Exception):
    """Anything the library refuses or fails at on purpose."""

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        image_index: int | None = None,
        limit: float | None = None,
        actual: float | None = None,
    ) -> None:
        super().__init__(message)
        self.field = field
        self.image_index = image_index
        self.limit = limit
        self.actual = actual


class BadRequest(MyopiaError, ValueError):
    """What was asked cannot be done."""


class BadImage(BadRequest):
    """A picture cannot be used."""


class PromptTooLong(BadRequest):
    """The prompt does not fit the model's context."""


class OutOfMemory(MyopiaError):
    """The row would not fit in the slots that there are."""


class Expired(MyopiaError):
    """The deadline passed."""


class Unsupported(MyopiaError, TypeError):
    """A model, a cache or a combination is refused by name."""
