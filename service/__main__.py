"""`python -m service`: the gateway under uvicorn, with settings from the environment."""

import sys
import warnings

import structlog
import uvicorn
from PIL import Image
from pydantic import ValidationError

from service.app import create_app
from service.logs import configure
from service.settings import Settings

log = structlog.get_logger(__name__)


def main() -> int:
    """Listen until told to stop; 2 when the settings cannot be read."""
    try:
        settings = Settings()
    except ValidationError as wrong:
        for error in wrong.errors(include_input=False):
            place = "_".join(str(part) for part in error["loc"]).upper()
            print(f"MYOPIA_{place}: {error['msg']}", file=sys.stderr)
        return 2
    configure(as_json=settings.log_json)
    # Pixels are limited by `max_image_pixels`, far below what Pillow would warn about.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    if settings.api_keys_file is None and not settings.listens_locally:
        log.warning("listening to other machines without keys", host=settings.host)
    uvicorn.run(
        create_app(settings),
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
