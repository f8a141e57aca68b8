"""`python -m service`: the gateway under uvicorn, with settings from the environment.

0  stopped    2  a setting is wrong    3  Redis, or the bucket for pictures, does not answer
"""

import gc
import sys
import time
import warnings

import structlog
import uvicorn
from PIL import Image
from pydantic import ValidationError

from service.app import create_app
from service.keys import KeyFile
from service.logs import configure
from service.settings import Settings
from wire import pictures, tracing
from wire.errors import StoreUnavailable, WrongSetting
from wire.store import Store

log = structlog.get_logger(__name__)


WRONG_SETTING, NO_STORE = 2, 3
STORE_WAIT_SECONDS = 10.0


class Refusal(Exception):
    """The gateway must not start; the message names the setting."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_keys(settings: Settings) -> None:
    """Refuse a file of keys that cannot be read: nobody would be let in."""
    path = settings.api_keys_file
    if path is None:
        return
    try:
        KeyFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Refusal(WRONG_SETTING, f"MYOPIA_API_KEYS_FILE={path}: {error.strerror}") from error
    except ValidationError as error:
        raise Refusal(
            WRONG_SETTING,
            f"MYOPIA_API_KEYS_FILE={path}: not a file of keys; make one with "
            "`python -m service.keys NAME`",
        ) from error


def check_store(settings: Settings) -> None:
    """Wait a little for a Redis that is just starting, then refuse."""
    store = Store(settings)
    give_up_at = time.monotonic() + STORE_WAIT_SECONDS
    while True:
        try:
            store.ping()
            return
        except WrongSetting as error:
            raise Refusal(WRONG_SETTING, str(error)) from error
        except StoreUnavailable as error:
            if time.monotonic() > give_up_at:
                raise Refusal(NO_STORE, f"MYOPIA_REDIS_URL: {error}") from error
            time.sleep(0.2)
        finally:
            store.close()


def check_pictures(settings: Settings) -> None:
    """Refuse a bucket that is not there, or into which we may not write."""
    try:
        pictures.reach(settings, STORE_WAIT_SECONDS, writing=True)
    except WrongSetting as error:
        raise Refusal(WRONG_SETTING, str(error)) from error
    except StoreUnavailable as error:
        raise Refusal(NO_STORE, f"MYOPIA_S3_ENDPOINT_URL: {error}") from error


def main() -> int:
    """Listen until told to stop, or say which setting keeps the gateway from starting."""
    try:
        settings = Settings()
    except ValidationError as wrong:
        for error in wrong.errors(include_input=False):
            place = "_".join(str(part) for part in error["loc"]).upper()
            print(f"MYOPIA_{place}: {error['msg']}", file=sys.stderr)
        return WRONG_SETTING
    try:
        check_keys(settings)
        check_store(settings)
        check_pictures(settings)
    except Refusal as refusal:
        print(str(refusal), file=sys.stderr)
        return refusal.code
    configure(as_json=settings.log_json)
    tracing.start("myopia-gateway")
    # Pixels are limited by `max_image_pixels`, far below what Pillow would warn about.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    if settings.api_keys_file is None and not settings.listens_locally:
        log.warning("listening to other machines without keys", host=settings.host)
    app = create_app(settings)
    # What is there now stays: else the collector walks all of it, for tens of ms, now and then.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
