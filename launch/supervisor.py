"""Keeps a few processes running: starts them in order, restarts what dies, stops all in reverse.

Knows commands and exit codes, not what the processes do.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 15.0
# A process that lived this long is taken for healthy: its next restart is quick again.
HEALTHY_AFTER_SECONDS = 30.0
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to end this child should the supervisor be killed without a word."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(slots=True)
class Child:
    """One process that should be running."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    grace_seconds: float
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    retry_at: float = 0.0
    backoff_seconds: float = FIRST_BACKOFF_SECONDS
    restarts: int = 0

    def start(self) -> None:
        """Start in a session of its own, so that Ctrl-C reaches the supervisor alone."""
        self.process = subprocess.Popen(  # noqa: S603 - our own command lines
            self.command,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - started from the one main thread
        )
        self.started_at = time.monotonic()

    def check(self) -> None:
        """Restart after an end, waiting longer each time that it ends early."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            code = self.process.returncode
            if now - self.started_at > HEALTHY_AFTER_SECONDS:
                self.backoff_seconds = FIRST_BACKOFF_SECONDS
            self.retry_at = now + self.backoff_seconds
            self.backoff_seconds = min(self.backoff_seconds * 2, LONGEST_BACKOFF_SECONDS)
            self.process = None
            print(f"{self.name} ended with {code}; starting it again", flush=True)
        if self.process is None and now >= self.retry_at:
            self.restarts += 1
            self.start()

    def stop(self) -> None:
        """SIGTERM, the grace, then SIGKILL for whatever is left of its session."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(self.grace_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass(slots=True)
class Supervisor:
    """The children in starting order."""

    children: list[Child] = field(default_factory=list)

    def start(self, child: Child) -> None:
        """Start one more."""
        self.children.append(child)
        child.start()

    def check(self) -> None:
        """Look at every child once."""
        for child in self.children:
            child.check()

    def stop(self) -> None:
        """Stop in reverse order: callers first, stores last."""
        for child in reversed(self.children):
            child.stop()
