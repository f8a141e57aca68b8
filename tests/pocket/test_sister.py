"""What the card says of the sister checkpoint, from figures made by hand."""

from typing import Any

from pocket.sister import section, spelled


def row(loss: float) -> dict[str, float]:
    return {"mean": 90 + loss, "error": 1.0, "loss": loss, "low": loss - 2, "high": loss + 2}


def found() -> dict[str, Any]:
    def side(harm: float) -> dict[str, dict[str, float]]:
        losses = {"full": 0.0, "myopia@0.05": -2 - harm, "myopia@0.2": -harm, "none": -70.0}
        return {name: row(loss) for name, loss in losses.items()}

    def cell(full: float, low: float) -> dict[str, dict[str, list[float]]]:
        names = {"full": full, "myopia@0.05": low, "myopia@0.2": full - 1}
        return {
            name: {"pocket": [x, 1, 40], "sister": [x - 20, 1, 40]} for name, x in names.items()
        }

    protocols = {
        name: {
            "overall": {"pocket": side(0.5), "sister": side(4.0)},
            "tasks": {"find": cell(99, 90)},
        }
        for name in ("question", "blind")
    }
    training = {"reading_minutes": 68, "pointers": False}
    return {"questions": 123, "protocols": protocols, "training": training}


def test_both_models_stand_side_by_side() -> None:
    lines = section(found())
    page = "\n".join(lines)
    assert "the same 123 questions" in page
    assert "| whole cache | 90.0 ± 1.0 | 90.0 ± 1.0 | 90.0 ± 1.0 | 90.0 ± 1.0 |" in lines
    loss = "| `myopia` at 0.2 | -0.5 [-2.5, +1.5] | -4.0 [-6.0, -2.0] |"
    assert any(line.startswith(loss) for line in lines)
    assert any(line.startswith("| no picture's KV | -70.0 ") for line in lines)
    head = "| task (*question*) | pocket: whole cache | pocket: at 0.2 | pocket: at 0.05 |"
    assert any(line.startswith(head) for line in lines)
    assert "| find | 99 | 98 | 90 | 79 | 78 | 70 |" in lines


def test_training_is_told_in_a_line() -> None:
    assert (
        spelled({"reading_minutes": 68, "pointers": False}) == "reading minutes 68, pointers False"
    )
