"""Asks a process in this container how it is; exit status 0 means well.

    python /app/probe.py MYOPIA_PORT 8000 /readyz

Stands in for curl, which the images do not have. The first argument is the environment variable
that may move the port, the second the port otherwise. Knows nothing of what is behind it.
"""

import os
import sys
import urllib.request
from urllib.error import URLError

TIMEOUT_SECONDS = 4


def is_well(port: int, path: str) -> bool:
    """Whether the path answers with a 2xx status in time."""
    # a proxy of the environment has no business between a container and itself
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT_SECONDS):
            return True
    except (URLError, OSError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return False


if __name__ == "__main__":
    variable, default, asked = sys.argv[1:4]
    sys.exit(0 if is_well(int(os.environ.get(variable, default)), asked) else 1)
