"""OpenAI's chat shapes, as far as this service does what they say.

What is not supported is refused by name, never ignored. Our own choices ride in the fields
`pruning`, `options`, `tiles`, `cache` and `timeout_seconds`, which the official client sends
as `extra_body`.
"""

from typing import Annotated, Literal

from pydantic import Field

from service.dispatch import CacheMode
from service.schema import AskParams, Options
from wire.pruning import Generation, Params, Pruning, Tiles

StopText = Annotated[str, Field(min_length=1, max_length=64)]


class TextContent(Params):
    """A piece of text."""

    type: Literal["text"]
    text: str = Field(min_length=1)


class ImageUrl(Params):
    """A picture as a `data:` URI, or an address where fetching is on."""

    url: str = Field(min_length=1)
    detail: Literal["auto", "low", "high"] = Field(
        "auto", description="The same for all pictures: `low` is `tiles: base`, `high` is `max`."
    )


class ImageContent(Params):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


Content = Annotated[TextContent | ImageContent, Field(discriminator="type")]


class UserMessage(Params):
    """What the user says and shows."""

    role: Literal["user"]
    content: str | tuple[Content, ...] = Field(min_length=1)
    name: None = None


class OtherMessage(Params):
    """What the system or the assistant said; texts only."""

    role: Literal["system", "developer", "assistant"]
    content: str | tuple[TextContent, ...] = Field(min_length=1)
    name: None = None
    refusal: None = None


class StreamOptions(Params):
    """What a stream carries besides text."""

    include_usage: bool = False


class TextFormat(Params):
    """The one format of answers that there is."""

    type: Literal["text"] = "text"


class ChatBody(Params):
    """A conversation whose last turn is the user's."""

    model: str = Field(min_length=1, max_length=256)
    messages: tuple[Annotated[UserMessage | OtherMessage, Field(discriminator="role")], ...] = (
        Field(min_length=1, max_length=256)
    )
    max_tokens: int | None = Field(None, ge=1, le=4096)
    max_completion_tokens: int | None = Field(None, ge=1, le=4096)
    temperature: float | None = Field(
        None, ge=0, le=2, description="Default 0, unlike OpenAI's 1: answers repeat and are cached."
    )
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**63)
    stop: StopText | Annotated[tuple[StopText, ...], Field(max_length=8)] | None = None
    n: Literal[1] | None = 1
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    frequency_penalty: Literal[0] | None = 0
    presence_penalty: Literal[0] | None = 0
    response_format: TextFormat | None = None
    user: str | None = Field(None, max_length=256, description="For your own records; not kept.")
    pruning: Pruning = Pruning()
    options: Options = ()
    tiles: Tiles | None = None
    cache: CacheMode = "use"
    timeout_seconds: float | None = Field(None, gt=0)

    def params(self, tiles: Tiles) -> AskParams:
        """The same choices in our own words."""
        stop = (self.stop,) if isinstance(self.stop, str) else self.stop or ()
        wanted = self.max_completion_tokens or self.max_tokens
        plain = Generation()
        return AskParams(
            options=self.options,
            pruning=self.pruning,
            generation=Generation(
                max_tokens=wanted or plain.max_tokens,
                temperature=self.temperature or 0,
                top_p=self.top_p or 1,
                seed=self.seed,
                stop=stop,
            ),
            tiles=tiles,
            cache=self.cache,
            timeout_seconds=self.timeout_seconds,
            stream=bool(self.stream),
        )
