"""Where the tokens of each image lie in a prompt, and which rows ask about them.

Positions only: no pixels, no keys, no model. Token order inside an image is LLaVA-NeXT's:
the base tile row by row, then every row of the tile grid followed by one newline token
(Source: transformers `pack_image_features`).
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens of one image: `base` and `grid` are (rows, columns) in patches; (0, 0): no tiles."""

    start: int
    base: tuple[int, int]
    grid: tuple[int, int]
    newlines: bool = True

    @property
    def base_tokens(self) -> int:
        """Tokens of the base tile."""
        return self.base[0] * self.base[1]

    @property
    def length(self) -> int:
        """Tokens of the image, newline tokens included."""
        rows, columns = self.grid
        return self.base_tokens + rows * (columns + (1 if self.newlines else 0))

    @property
    def stop(self) -> int:
        """One past the last position."""
        return self.start + self.length

    def newline_positions(self) -> list[int]:
        """Positions of the row-end tokens, ascending."""
        rows, columns = self.grid
        if not self.newlines:
            return []
        first = self.start + self.base_tokens + columns
        return [first + row * (columns + 1) for row in range(rows)]


@dataclass(frozen=True, slots=True)
class Layout:
    """A prompt of `length` tokens: image spans in order, and the rows that guide the text part.

    `text_rows`: positions after the last image, special tokens excluded (where none is left:
    the generation prompt's tokens). Empty when there is no image.
    """

    length: int
    spans: tuple[Span, ...]
    text_rows: tuple[int, ...]
    image_tokens: int = field(init=False, compare=False)
    """Tokens of all images."""
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Count and hash once: both are asked for in every layer."""
        object.__setattr__(self, "image_tokens", sum(span.length for span in self.spans))
        object.__setattr__(self, "_hash", hash((self.length, self.spans, self.text_rows)))

    def __hash__(self) -> int:
        return self._hash

    def image_positions(self) -> list[int]:
        """Positions of all image tokens, ascending."""
        return [p for span in self.spans for p in range(span.start, span.stop)]

    def image_of(self) -> list[int]:
        """For each image token in `image_positions` order, the index of its image."""
        return [index for index, span in enumerate(self.spans) for _ in range(span.length)]
