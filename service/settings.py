"""What a deployment chooses for its gateway: one frozen class, read once at start.

Every name carries its unit. Limits refuse an ask; they never change it. Nothing here knows a
model: how many tokens a picture costs is told by the workers.
"""

import base64
import ipaddress
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from wire.settings import WireSettings

MIB = 2**20


class Settings(WireSettings):
    """The gateway's settings and what it must agree on with workers; prefix `MYOPIA_`."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535)
    api_keys_file: Path | None = None

    max_body_bytes: int = Field(64 * MIB, gt=0, description="Largest request body.")
    max_held_bytes: int = Field(
        1024 * MIB, gt=0, description="Bodies in memory at once; a chunked one counts as the most."
    )
    max_json_bytes: int = Field(32 * MIB, gt=0, description="Largest JSON body.")
    max_params_bytes: int = Field(64 * 1024, gt=0, description="Largest text part of a form.")
    max_images: int = Field(64, ge=1, le=1024, description="Most pictures of one ask.")
    max_image_bytes: int = Field(20 * MIB, gt=0, description="Largest picture, as sent.")
    max_image_pixels: int = Field(40_000_000, gt=0, description="Most pixels of one picture.")
    max_ask_pixels: int = Field(256_000_000, gt=0, description="Most pixels of one ask.")
    min_image_side_pixels: int = Field(8, ge=1, description="Shortest side of a picture.")
    max_image_aspect: float = Field(16, ge=1, description="Longest side over shortest side.")
    max_text_chars: int = Field(32_000, gt=0, description="Most characters of all texts.")
    decode_threads: int = Field(2, ge=1, description="Pictures that are decoded at once.")

    max_visual_tokens: int | None = Field(
        None, ge=1, description="Most picture tokens of one ask; default: the model's context."
    )

    fetch_hosts: tuple[str, ...] = Field(
        (), description="Hosts that pictures may be fetched from, as JSON; empty: none are."
    )
    fetch_plain_http: bool = False
    fetch_private_networks: bool = Field(
        False, description="Also reach private and loopback addresses, and odd ports."
    )
    fetch_timeout_seconds: float = Field(10, gt=0, description="For all pictures of one ask.")
    fetch_max_pictures: int = Field(16, ge=0)

    webhook_secret: SecretStr | None = Field(
        None, description="`whsec_` and base64 of 24 to 64 bytes; webhooks are off without it."
    )
    webhook_hosts: tuple[str, ...] = Field(
        (), description="Hosts that may be told, as JSON: names, `.below.org`, or `*`."
    )
    webhook_plain_http: bool = False
    webhook_private_networks: bool = False

    default_timeout_seconds: float = Field(60, gt=0)
    max_timeout_seconds: float = Field(600, gt=0)
    max_queued_asks: int = Field(1000, ge=1, description="Asks that may wait for a worker.")
    max_inflight_asks: int = Field(512, ge=1, description="Asks one gateway waits for at once.")
    fleet_fresh_seconds: float = Field(
        0.5, ge=0, description="How long the list of live workers is used before it is read again."
    )
    ping_seconds: float = Field(15, gt=0, description="Silence after which a stream pings.")
    resume_grace_seconds: float = Field(
        2, ge=0, description="How long a stream that broke may be taken up before its ask ends."
    )
    drain_seconds: int = Field(30, ge=0, description="How long running asks may end at stop.")
    log_json: bool = True

    @field_validator("webhook_secret")
    @classmethod
    def _is_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        text = secret.get_secret_value() if secret else "whsec_" + "A" * 32
        try:
            size = len(base64.b64decode(text.removeprefix("whsec_"), validate=True))
        except ValueError:
            size = 0
        if not text.startswith("whsec_") or not 24 <= size <= 64:
            raise ValueError("must be whsec_ and base64 of 24 to 64 bytes")
        return secret

    @property
    def listens_locally(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
