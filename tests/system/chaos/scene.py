"""What every scene takes and gives: its measures of time, and figures with a verdict."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Measure:
    """How long a run may be: `scale` 1 is the issue's table, the short one is for every commit."""

    scale: float
    folder: Path
    lease_seconds: float = 4

    def seconds(self, full: float, least: float) -> float:
        return max(least, full * self.scale)

    def times(self, full: int, least: int) -> int:
        return max(least, round(full * self.scale))


@dataclass
class Outcome:
    """One row of the report. `wanted` says in words what the figures must be.

    `seconds` is how long it played, `load` the machine's load average over that time.
    """

    name: str
    wanted: str
    passed: bool
    figures: dict[str, float | int | str]
    skipped: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0
    load: float = 0
