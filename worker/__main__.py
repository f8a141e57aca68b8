"""`python -m worker`: one worker process, its settings from the environment."""

import sys

from worker.main import main

if __name__ == "__main__":
    sys.exit(main())
