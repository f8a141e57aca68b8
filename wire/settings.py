"""Where the two processes meet: Redis, the broker, and how long things live there.

Gateway and worker read the same class, so they cannot disagree about a lease or a key's name.
Nothing here knows HTTP, engines or what an ask says.
"""

import re

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

REDIS_SCHEMES = ("redis://", "rediss://")
BROKER_SCHEMES = (*REDIS_SCHEMES, "amqp://", "amqps://")
S3_SETTINGS = ("s3_endpoint_url", "s3_region", "s3_access_key", "s3_secret_key")
BUCKET_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?")


class WireSettings(BaseSettings):
    """What both processes must agree on; environment names are these with `MYOPIA_` before."""

    model_config = SettingsConfigDict(env_prefix="MYOPIA_", frozen=True, extra="ignore")

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="The durable Redis: ledger, mailbox, queue. Must run with `noeviction`.",
    )
    redis_cache_url: SecretStr | None = Field(
        None, description="The Redis for caches, which may evict; default: the durable one."
    )
    broker_url: SecretStr | None = Field(
        None, description="Celery's broker (redis:// or amqp://); default: the durable Redis."
    )

    picture_url: str | None = Field(
        None,
        description="`s3://bucket` or `s3://bucket/folder`: where pictures are kept; default: in "
        "the durable Redis.",
    )
    s3_endpoint_url: str | None = Field(
        None, description="Address of an S3-compatible store; default: Amazon's."
    )
    s3_region: str | None = None
    s3_access_key: SecretStr | None = Field(
        None, description="Default: what the AWS chain finds (a role, `AWS_…`, a file)."
    )
    s3_secret_key: SecretStr | None = Field(None, validate_default=True)
    s3_silence_seconds: float = Field(
        0.9, gt=0, le=60, description="A store of pictures that says nothing for so long is away."
    )

    namespace: str = Field("myopia", pattern=r"^[a-z0-9_-]{1,32}$")
    queue_name: str = Field("myopia.asks", pattern=r"^[a-z0-9_.-]{1,64}$")

    connect_timeout_seconds: float = Field(0.5, gt=0, le=5)
    reply_timeout_seconds: float = Field(0.8, gt=0, le=5)
    patience_seconds: float = Field(
        15, ge=0, description="How long someone who already waits rides out a store that is down."
    )

    lease_seconds: float = Field(
        15, ge=0.5, le=600, description="A worker silent for so long has lost its asks."
    )
    max_attempts: int = Field(
        3, ge=1, le=10, description="Workers an ask may take down before it is dead."
    )
    reap_interval_seconds: float = Field(1, ge=0.1, le=60)
    look_delay_seconds: float = Field(
        1, ge=0.2, le=60, description="A message younger than this is never thought lost."
    )

    prefill_wait_seconds: float = Field(
        0.05,
        ge=0,
        le=0.15,
        description="How long an ask is left to the idle worker that has read its pictures; 0: any "
        "worker takes the oldest.",
    )
    prefill_overtakes: int = Field(
        8, ge=0, le=64, description="Asks of the same key that may be taken up before an older one."
    )

    record_ttl_seconds: int = Field(3600, ge=60, description="How long an ended ask is kept.")
    dead_ttl_seconds: int = Field(7 * 86400, ge=60)
    picture_ttl_seconds: int = Field(3600, ge=60, description="Since a picture was last named.")
    answer_ttl_seconds: int = Field(86400, ge=1)
    heartbeat_ttl_seconds: float = Field(5, ge=0.5, le=60)

    @field_validator("redis_url", "redis_cache_url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        return _with_scheme(url, REDIS_SCHEMES)

    @field_validator("broker_url")
    @classmethod
    def _is_broker(cls, url: SecretStr | None) -> SecretStr | None:
        return _with_scheme(url, BROKER_SCHEMES)

    @field_validator(
        "picture_url",
        "s3_endpoint_url",
        "s3_region",
        "s3_access_key",
        "s3_secret_key",
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """Compose has no way to leave a variable out: empty means that it was."""
        return None if value == "" else value

    @field_validator("picture_url")
    @classmethod
    def _is_bucket(cls, url: str | None) -> str | None:
        if url is not None and not BUCKET_URL.fullmatch(url):
            raise ValueError("must be s3://bucket or s3://bucket/folder")
        return url.rstrip("/") if url else None

    @field_validator("s3_endpoint_url")
    @classmethod
    def _is_endpoint(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url

    @field_validator("s3_secret_key")
    @classmethod
    def _has_a_key(cls, secret: SecretStr | None, told: ValidationInfo) -> SecretStr | None:
        if (secret is None) != (told.data.get("s3_access_key") is None):
            raise ValueError("MYOPIA_S3_ACCESS_KEY and MYOPIA_S3_SECRET_KEY go together")
        return secret

    @property
    def calls_prefix(self) -> str:
        """Begins the name of a worker's own queue, in which others call it; its id follows."""
        return f"{self.queue_name}."

    @property
    def picture_keys(self) -> str:
        """Begins the key of a picture: other names for marks, so that nobody reads one as bytes."""
        return "kept:" if self.picture_url else "picture:"

    @property
    def durable_url(self) -> str:
        """URL of the durable Redis, password included."""
        return self.redis_url.get_secret_value()

    @property
    def cache_url(self) -> str:
        """URL of the Redis for caches, password included."""
        return (self.redis_cache_url or self.redis_url).get_secret_value()

    @property
    def broker(self) -> str:
        """URL of Celery's broker, password included."""
        return (self.broker_url or self.redis_url).get_secret_value()


def _with_scheme(url: SecretStr | None, schemes: tuple[str, ...]) -> SecretStr | None:
    if url is not None and not url.get_secret_value().startswith(schemes):
        raise ValueError(f"must start with one of {', '.join(schemes)}")
    return url
