"""API keys: a file of hashes, who each key belongs to, and what it may do and how often.

The file holds SHA-256 only: a key has 256 random bits, so a slow hash would add nothing. It is
read again when it changes, so a key is revoked without a restart. HTTP is not known here.
"""

import argparse
import hashlib
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Scope = Literal["ask", "read", "images"]
ALL_SCOPES: tuple[Scope, ...] = ("ask", "read", "images")
PREFIX = "myopia_"
LOOK_AGAIN_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Key(BaseModel):
    """One key as the file has it; asks, pictures and answers belong to its tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str = Field(default="", max_length=64, description="Default: the key's name.")
    scopes: tuple[Scope, ...] = ALL_SCOPES
    asks_per_minute: float | None = Field(None, gt=0, description="None: no limit.")
    burst: int = Field(20, ge=1, description="Asks that may come at once within the rate.")
    max_open_asks: int | None = Field(None, ge=1, description="Asks that may be open at once.")

    @property
    def owner(self) -> str:
        """Whose asks, pictures and answers these are."""
        return self.tenant or self.name


class KeyFile(BaseModel):
    """The whole file: `{"keys": [...]}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...]


ANYBODY = Key(name="anybody", sha256="0" * 64)
"""Who asks where no keys are configured; `Keys.find` never returns it."""


def digest(key: str) -> str:
    """SHA-256 of a key in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


class Keys:
    """The keys of one file, by hash. A file that cannot be read lets nobody in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Key] = {}
        self._stamp: tuple[int, int] | None = None
        self._looked_at = float("-inf")

    def find(self, key: str) -> Key | None:
        """Whose key this is, None when it is nobody's.

        Looked up by hash: the time it takes tells nothing about any key.
        """
        self._reload()
        return self._known.get(digest(key))

    def _reload(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < LOOK_AGAIN_SECONDS:
            return
        self._looked_at = now
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            read = KeyFile.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            log.error("no key is accepted: the file cannot be read", cause=type(error).__name__)
            self._known, self._stamp = {}, None
            return
        self._known = {key.sha256: key for key in read.keys}
        self._stamp = stamp
        log.info("keys read", count=len(self._known))


def make(path: Path, fields: dict[str, object]) -> str:
    """Add a key to the file (made when it is not there) and return it; it is not kept."""
    secret = PREFIX + secrets.token_urlsafe(32)
    key = Key.model_validate({**fields, "sha256": digest(secret)})
    known = KeyFile.model_validate_json(path.read_bytes()) if path.exists() else KeyFile(keys=())
    whole = {"keys": [*known.model_dump()["keys"], key.model_dump()]}
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(whole, indent=2) + "\n", "utf-8")
    aside.chmod(0o600)
    aside.replace(path)
    return secret


def main(words: list[str] | None = None) -> int:
    """`python -m service.keys NAME`: make a key, print it once, keep its hash."""
    parser = argparse.ArgumentParser(prog="python -m service.keys", description=main.__doc__)
    parser.add_argument("name")
    parser.add_argument("--file", type=Path, default=os.environ.get("MYOPIA_API_KEYS_FILE"))
    parser.add_argument("--tenant", default="")
    parser.add_argument("--scope", action="append", choices=ALL_SCOPES, dest="scopes")
    parser.add_argument("--asks-per-minute", type=float)
    parser.add_argument("--max-open-asks", type=int)
    said = vars(parser.parse_args(words))
    path = said.pop("file")
    if path is None:
        parser.error("name the file with --file or MYOPIA_API_KEYS_FILE")
    said["scopes"] = tuple(said["scopes"] or ALL_SCOPES)
    print(make(Path(path), said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
