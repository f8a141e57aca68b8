"""What a deployment chooses for its workers: the model, how much at once, how to stop.

Environment names are these with `MYOPIA_` before; the wire's are in `wire.settings`.
"""

import socket
import uuid
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class WorkerSettings(BaseSettings):
    """Choices of one worker process."""

    model_config = SettingsConfigDict(env_prefix="MYOPIA_", frozen=True, extra="ignore")

    model: str = Field("pocket", min_length=1, description="`pocket`, a hub name, or a folder.")
    model_offline: bool = Field(True, description="False lets the hub be asked for a model.")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    pool: str = Field("threads", description="Celery's pool; any but `threads` is refused.")
    concurrency: int = Field(16, ge=1, le=256, description="Asks that one engine works on at once.")
    kv_limit_bytes: int | None = Field(
        None, ge=2**20, description="Most bytes of all KV caches; default: what the device leaves."
    )
    feature_cache_bytes: int = Field(
        2**28, ge=0, description="Vision features kept by picture, on the model's device."
    )
    feature_host_cache_bytes: int = Field(
        2**30,
        ge=0,
        description="Vision features that a GPU had no more room for, kept in host memory.",
    )
    prefix_cache_bytes: int = Field(2**29, ge=0, description="Prefilled picture sets kept.")
    decode: Literal["auto", "plain", "padded", "graphs"] = Field(
        "auto",
        description="How running asks decode together: `graphs` replays captured steps (CUDA), "
        "`padded` runs the same steps uncaptured, `plain` neither; `auto` chooses by device.",
    )
    calibration: str = Field(
        "",
        description="File for budget `auto`; default: calibration.json beside the weights, if any.",
    )
    shadow_share: float = Field(
        0,
        ge=0,
        le=1,
        description="Share of greedy, pruned asks that an idle worker asks again with the whole "
        "cache, to measure how often the answers agree; 0 is off.",
    )
    picture_most_pixels: int = Field(40_000_000, ge=1)

    token_interval_ms: float = Field(
        30, ge=0, description="Tokens made within so many milliseconds travel as one event."
    )
    grace_seconds: float = Field(
        25, ge=0, description="After SIGTERM, how long running asks may take to finish."
    )
    stuck_seconds: float = Field(
        120, ge=1, description="An engine step that takes longer makes /livez fail."
    )
    worker_host: str = "127.0.0.1"
    worker_port: int = Field(
        0, ge=0, le=65535, description="Port of /livez, /readyz and /metrics; 0 is off."
    )


def new_worker_id() -> str:
    """A name that no other worker process has or had."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
