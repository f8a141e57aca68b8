"""Which part of an answer's text still has to be sent: earlier attempts, or Redis, may have it.

An ask that lost its worker starts again from its first token. Decoding is repeatable (greedy, or
seeded: translate.py), so the new text retraces the old, and the asker sees no seam.
"""

from dataclasses import dataclass

from wire.records import Piece

DIVERGED = (
    "The text that was streamed before a worker failed differs from this answer; "
    "this answer is the one to use."
)


@dataclass(slots=True)
class Retracing:
    """Follows the text of one attempt along what earlier ones sent."""

    sent_before: str
    made: int = 0
    diverged: bool = False

    def fresh(self, text: str) -> str:
        """The part of the next piece that nobody has sent yet; "" after the texts parted."""
        if self.diverged:
            return ""
        begin = self.made
        self.made += len(text)
        known = self.sent_before[begin : self.made]
        if not text.startswith(known):
            self.diverged = True
            return ""
        return text[len(known) :]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the final answer must say about its stream."""
        parted = self.diverged or self.made < len(self.sent_before)
        return (DIVERGED,) if parted else ()


@dataclass(slots=True)
class Stream:
    """What one attempt sends: its whole text, and how much of it the ledger is known to have."""

    text: str = ""
    told: int = 0

    @property
    def rest(self) -> Piece:
        """What is still to be sent, perhaps nothing."""
        return Piece(self.text[self.told :], self.told)
