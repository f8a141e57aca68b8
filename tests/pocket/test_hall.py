"""An exam in several processes: the same marks as in one, and no process left behind."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from pocket import weights_folder
from pocket.card import load
from pocket.exam import Asking, examine, held_out
from pocket.hall import CHUNK, Drawing, alone, open_hall
from pocket.turning import examine_turned

LINGER = """
import os, time
from pocket.pool import open_pool
with open_pool(2) as pool:
    print(*{pool.submit(os.getpid).result() for _ in range(8)}, flush=True)
    time.sleep(100)
"""


def test_two_processes_give_the_marks_of_one() -> None:
    albums = CHUNK + 2  # drawn in two pieces
    parts = [
        partial(examine, counts=[3], stories=4, seed=1),
        partial(examine, counts=[5], stories=4, seed=1, asking=Asking({"find": 1.0}, each=6)),
        partial(examine_turned, counts=[3], stories=2, seed=2, asked={"color": 2}),
    ]
    with open_hall(weights_folder(), 2) as hall:
        marks = hall.draw(Drawing(albums, first=700))(parts)
    model = load(weights_folder())
    assert marks == alone(model, held_out(model, albums, first=700))(parts)
    assert all(marks)


def test_a_killed_starter_leaves_no_process_behind() -> None:
    starter = subprocess.Popen([sys.executable, "-c", LINGER], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    members = [int(number) for number in starter.stdout.readline().split()]
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    limit = time.monotonic() + 20
    while alive := [number for number in members if _is_there(number)]:
        assert time.monotonic() < limit, f"left behind: {alive}"
        time.sleep(0.1)
    assert members


def _is_there(number: int) -> bool:
    """Whether that process runs still; what has ended and waits to be reaped does not."""
    try:
        os.kill(number, 0)
        told = Path(f"/proc/{number}/stat")  # Linux has it
        return not told.exists() or told.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
