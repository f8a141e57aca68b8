"""Which budget is enough: a table measured for one checkpoint, and what it says of one ask.

The table has, by kind of question and number of pictures, how often the answer on pruned pictures
was the whole cache's. It is made by `python -m bench.calibrate`; nothing here runs a model.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from myopia.errors import BadRequest, Unsupported
from wire.messages import Ask, BudgetChoice, TextPart

FILE = "calibration.json"
WHOLE = 1.0
# Knobs that say how much is kept, which is what a calibration varies.
AMOUNT = {"preset", "budget", "target_agreement"}


class Cell(BaseModel):
    """What was measured for one kind of question over one number of pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    images: int = Field(ge=1)
    questions: int = Field(ge=1)
    agreement: dict[float, float] = Field(min_length=1)


class Table(BaseModel):
    """The file: the weights it was measured on, the knobs it holds for, and its cells."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    revision: str
    pruning: dict[str, Any]
    cells: tuple[Cell, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A table and the digest of its file, which is part of every answer's key."""

    table: Table
    digest: str

    def settle(self, ask: Ask) -> tuple[Ask, BudgetChoice]:
        """The ask with a number for its budget, and why that one.

        Raises BadRequest where the table was measured with other knobs.
        """
        knobs = ask.pruning.model_dump(mode="json", exclude=AMOUNT)
        for name, value in knobs.items():
            if self.table.pruning.get(name) != value:
                raise BadRequest(
                    f"budget `auto` was calibrated with {name} {self.table.pruning.get(name)}: "
                    f"leave it so, or give budget as a number",
                    field=f"/pruning/{name}",
                )
        pictures = sum(part.kind == "image" for turn in ask.turns for part in turn.parts)
        choice = self._choose(kind_of(ask), pictures, ask.pruning.target_agreement)
        pruning = ask.pruning.model_copy(update={"budget": choice.budget})
        return ask.model_copy(update={"pruning": pruning}), choice

    def _choose(self, kind: str, images: int, target: float) -> BudgetChoice:
        """The smallest budget that, with all larger ones, reached the target where it is hardest.

        Of the kind's cells the one with the next larger number of pictures speaks; a kind that
        was not measured is taken for the hardest one. More pictures than any cell has: the whole.
        """
        same = [cell for cell in self.table.cells if cell.kind == kind]
        enough = [cell for cell in same or self.table.cells if cell.images >= images]
        if not enough:
            return BudgetChoice(
                budget=WHOLE,
                target_agreement=target,
                kind=kind,
                images=images,
                why=f"no calibration has {images} pictures or more for this kind of question",
            )
        nearest = min(cell.images for cell in enough)
        told = [(_smallest(c, target), c) for c in enough if c.images == nearest]
        budget, cell = max(told, key=lambda one: one[0])
        said = f"smallest that reached {target:g} over {nearest} pictures"
        if budget == WHOLE:
            said = f"none smaller reached {target:g} over {nearest} pictures"
        if not same:
            said += f"; `{kind}` was not measured, the hardest kind speaks"
        return BudgetChoice(
            budget=budget,
            target_agreement=target,
            kind=cell.kind,
            images=nearest,
            agreement=cell.agreement.get(budget, 1.0 if budget == WHOLE else None),
            questions=cell.questions,
            why=said,
        )


def _smallest(cell: Cell, target: float) -> float:
    reached = WHOLE
    for budget in sorted(cell.agreement, reverse=True):
        if cell.agreement[budget] < target:
            break
        reached = budget
    return reached


def settle(ask: Ask, calibration: Calibration | None) -> tuple[Ask, BudgetChoice | None]:
    """Put a number where the ask says `auto`; BadRequest where nothing was calibrated."""
    if ask.pruning.budget != "auto":
        return ask, None
    if calibration is None:
        raise BadRequest(
            "budget `auto` needs a calibration of this model, and there is none: give a number, "
            "or have the operator run `python -m bench.calibrate` on the checkpoint",
            field="/pruning/budget",
        )
    return calibration.settle(ask)


def kind_of(ask: Ask) -> str:
    """The kind of question, from its form alone (`question_kind`)."""
    pictures = [
        (turn, place)
        for turn, said in enumerate(ask.turns)
        for place, part in enumerate(said.parts)
        if part.kind == "image"
    ]
    between = any(
        isinstance(part, TextPart) and pictures[0] < (turn, place) < pictures[-1]
        for turn, said in enumerate(ask.turns)
        for place, part in enumerate(said.parts)
        if pictures
    )
    users = sum(turn.role == "user" for turn in ask.turns)
    return question_kind(options=bool(ask.options), text_between=between, users=users)


def question_kind(*, options: bool, text_between: bool, users: int = 1) -> str:
    """`choice` or `open`, with `text between` its pictures, `later turn`: no word is looked at."""
    parts = ["choice" if options else "open"]
    parts += ["text between"] if text_between else []
    parts += ["later turn"] if users > 1 else []
    return ", ".join(parts)


def read_calibration(path: Path, revisions: Sequence[str]) -> Calibration:
    """The table in a file, made for one of these revisions; Unsupported says what to do."""
    data = path.read_bytes()
    try:
        table = Table.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise Unsupported(
            f"{path} is no calibration ({where}: {first['msg']}); make it anew with "
            "`python -m bench.calibrate`",
            field="calibration",
        ) from error
    if table.revision not in revisions:
        raise Unsupported(
            f"{path} was measured on weights {table.revision}, these are {' or '.join(revisions)}; "
            "make it anew with `python -m bench.calibrate`",
            field="calibration",
        )
    return Calibration(table, hashlib.sha256(data).hexdigest()[:8])
