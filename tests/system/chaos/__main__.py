"""`python -m tests.system.chaos`: run the rows, print a table, write `build/chaos.json`."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.redis_server import find_binary
from tests.system.chaos.gateway_faults import kill_gateway
from tests.system.chaos.load_faults import identical_asks, overload, soak
from tests.system.chaos.network_faults import half_open
from tests.system.chaos.pocket_faults import kill_pocket
from tests.system.chaos.redis_faults import restart_redis, wipe_redis
from tests.system.chaos.scene import Measure, Outcome
from tests.system.chaos.worker_faults import kill_all, kill_one_by_one, stop_and_continue

SCENES: dict[str, Callable[[Measure], Outcome]] = {
    "kill-one": kill_one_by_one,
    "kill-all": kill_all,
    "redis": restart_redis,
    "gateway": kill_gateway,
    "wipe": wipe_redis,
    "stop": stop_and_continue,
    "network": half_open,
    "overload": overload,
    "identical": identical_asks,
    "soak": soak,
    "pocket": kill_pocket,
}


def machine() -> dict[str, object]:
    binary = find_binary()
    version = ""
    if binary is not None:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
        version = said.stdout.strip()
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "redis": version,
    }


def line(outcome: Outcome) -> str:
    verdict = "skipped" if outcome.skipped else ("pass" if outcome.passed else "FAIL")
    said = ", ".join(f"{name} {value}" for name, value in outcome.figures.items())
    notes = "; ".join([outcome.skipped, *outcome.notes]).strip("; ")
    run = f"{outcome.seconds:.0f} s, load {outcome.load:g}"
    return f"| {outcome.name} | {outcome.wanted} | {said} | {verdict} | {notes} | {run} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos", description=__doc__)
    parser.add_argument("scenes", nargs="*", help=f"default: all of {', '.join(SCENES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="1: as long as the table says")
    parser.add_argument("--short", action="store_true", help="seconds per scene: --scale 0.02")
    parser.add_argument("--lease", type=float, default=4.0, help="lease in seconds")
    parser.add_argument("--out", type=Path, default=Path("build/chaos.json"))
    said = parser.parse_args()
    unknown = set(said.scenes) - set(SCENES)
    if unknown:
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="chaos") as folder:
        measure = Measure(0.02 if said.short else said.scale, Path(folder), said.lease)
        for name in said.scenes or SCENES:
            began = time.monotonic()
            try:
                outcomes.append(SCENES[name](measure))
            except Exception as error:  # one scene must not take the others' figures with it
                words = traceback.format_exc()
                print(words, file=sys.stderr)
                outcomes.append(Outcome(name, "", False, {}, notes=[repr(error)[:300]]))
            outcomes[-1].seconds = round(time.monotonic() - began, 1)
            outcomes[-1].load = round(os.getloadavg()[0], 1)
            print(line(outcomes[-1]), flush=True)
    said.out.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "machine": machine(),
        "scale": measure.scale,
        "lease_seconds": measure.lease_seconds,
        "rows": [asdict(outcome) for outcome in outcomes],
    }
    said.out.write_text(json.dumps(report, indent=2) + "\n")
    head = "| fault | wanted | measured | verdict | notes | run |\n|---|---|---|---|---|---|\n"
    said.out.with_suffix(".md").write_text(head + "\n".join(map(line, outcomes)) + "\n")
    return int(any(not o.passed and not o.skipped for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
