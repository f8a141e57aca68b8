"""A story: a row of scenes with notes between them, and questions about them with their evidence.

Plain values; knows nothing of pixels, tokens or models.
"""

from dataclasses import dataclass, field

from pocket.scene import Scene, Thing


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence between the pictures: it stands before picture `place` (or after the last)."""

    place: int
    name: str
    value: str
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A known change or movement between two pictures of the story (indices from 0)."""

    first: int
    second: int
    what: str
    thing: int


@dataclass(frozen=True, slots=True)
class Story:
    """Pictures in order; picture i is called image `i + 1 + offset`."""

    scenes: tuple[Scene, ...]
    notes: tuple[Note, ...] = ()
    links: tuple[Link, ...] = ()
    offset: int = 0

    def number(self, picture: int) -> str:
        """What the picture is called."""
        return str(picture + 1 + self.offset)

    def having(self, kind: str | None = None, color: str | None = None) -> list[tuple[int, int]]:
        """(picture, thing) of every thing of that kind and colour."""
        return [
            (p, t)
            for p, scene in enumerate(self.scenes)
            for t, thing in enumerate(scene.things)
            if (kind is None or thing.kind == kind) and (color is None or thing.color == color)
        ]

    def thing(self, place: tuple[int, int]) -> Thing:
        """The thing at (picture, thing)."""
        return self.scenes[place[0]].things[place[1]]


# Evidence: groups of (picture, thing); picture -1 means note number `thing`.
Group = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its whole answer; `pointers` says where to look at which answer word."""

    task: str
    text: str
    answer: str
    pictures: tuple[int, ...] = ()  # where the evidence lies, for reports by position
    kind: str | None = None
    color: str | None = None
    numbers: tuple[str, ...] = ()
    name: str | None = None
    pointers: tuple[tuple[int, tuple[Group, ...]], ...] = field(default=())
