"""Opens the engine that the settings name: a checkpoint by folder, hub name, or the pocket.

The one place where the worker loads a model; importing it loads none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from myopia.errors import Unsupported
from worker.calibration import FILE, Calibration, read_calibration
from worker.runner import EngineLike
from worker.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Opened:
    """An engine that is ready for asks, and what its model is called."""

    engine: EngineLike
    model: str
    revision: str
    facts: dict[str, Any]
    calibration: Calibration | None = None


OpenEngine = Callable[[WorkerSettings], Opened]


def model_folder(name: str) -> str:
    """Name or folder for `myopia.loading.load`; `pocket` is the model that is shipped."""
    if name != "pocket" or Path(name, "config.json").exists():
        return name
    spec = find_spec("pocket")
    if spec is None or spec.origin is None:
        raise Unsupported("the pocket model is not installed; name another one", field="model")
    return str(Path(spec.origin).parent / "weights")


def open_engine(settings: WorkerSettings) -> Opened:
    """Load the model and build the engine round it; raises Unsupported by name."""
    folder = Path(model_folder(settings.model))
    check_there(settings, folder)
    from myopia.engine import Engine, EngineConfig  # noqa: PLC0415  loads torch: only on demand
    from myopia.loading import load  # noqa: PLC0415

    checkpoint = load(
        model_folder(settings.model),
        device=settings.device,
        dtype=settings.dtype,
        offline=settings.model_offline,
    )
    name = settings.model if settings.model == "pocket" else checkpoint.name
    sizes = EngineConfig(
        most_rows=settings.concurrency,
        kv_bytes=settings.kv_limit_bytes,
        feature_bytes=settings.feature_cache_bytes,
        feature_host_bytes=settings.feature_host_cache_bytes,
        prefix_bytes=settings.prefix_cache_bytes,
        decode=settings.decode,
    )
    engine = Engine(checkpoint, sizes)
    facts = {**checkpoint.facts(), "name": name}
    table = calibration_of(settings, folder, checkpoint.revision)
    # Answers to `auto` hang on the table, so a new one makes stored answers unknown.
    revision = checkpoint.revision if table is None else f"{checkpoint.revision}.{table.digest}"
    return Opened(engine, name, revision, facts, table)


def check_there(settings: WorkerSettings, folder: Path) -> None:
    """Raise Unsupported for files that are named and missing, before torch takes its seconds."""
    named = settings.model if settings.model != "pocket" else str(folder)
    if (folder.is_absolute() or named.startswith(".")) and not folder.is_dir():
        raise Unsupported(f"{named}: no such folder", field="model")
    named_calibration(settings)


def named_calibration(settings: WorkerSettings) -> Path | None:
    """The calibration that the settings name; Unsupported where it is not there."""
    if not settings.calibration:
        return None
    path = Path(settings.calibration)
    if not path.is_file():
        raise Unsupported(f"MYOPIA_CALIBRATION={path}: no such file", field="calibration")
    return path


def calibration_of(settings: WorkerSettings, folder: Path, revision: str) -> Calibration | None:
    """The calibration that the settings name, or the one beside the weights; None without one.

    Raises Unsupported where it is not for these weights, or is missing though it was named.
    """
    path = named_calibration(settings) or folder / FILE
    return read_calibration(path, [revision]) if path.is_file() else None
