"""`python -m service.cli ask a.png b.png "question"`: ask a running service from a terminal.

Speaks HTTP like everybody and imports nothing of the gateway. Texts go to standard output as they
come; what there is to say about the waiting goes to standard error. Ctrl-C ends it at once, and the
service cancels an ask whose asker is gone.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # While modules load, Python may drop the KeyboardInterrupt; the kernel does not.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
LEFT = 130  # What shells say of a process that Ctrl-C ended.


def main(words: list[str] | None = None) -> int:
    """Ask; 0 with an answer, 1 with a problem, 2 for a wrong command line."""
    said = parser().parse_args(words)
    try:
        return ask(said)
    except httpx.TransportError as error:
        print(f"{said.url} cannot be reached ({type(error).__name__})", file=sys.stderr)
        return 1


def insist_on_ctrl_c() -> None:
    """From now on Ctrl-C ends the process with 130 at once, whatever the interpreter does.

    A KeyboardInterrupt is lost where Python ignores exceptions (finalisers, callbacks) and comes
    late while a host's name is looked up. A thread that the signal wakes depends on neither. Where
    the signal is ignored, as in a script's background jobs, it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    hears, tells = socket.socketpair()
    tells.setblocking(False)
    threading.Thread(target=leave_when_told, args=(hears, tells), daemon=True).start()
    signal.set_wakeup_fd(tells.fileno())
    signal.signal(signal.SIGINT, lambda *_: None)


def leave_when_told(hears: socket.socket, tells: socket.socket) -> None:
    """Wait for a signal's byte and end the process; `tells` stays open for as long."""
    with hears, tells:
        hears.recv(1)
        try:
            os.write(2, b"left; the service cancels the ask\n")
        finally:
            os._exit(LEFT)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(prog="python -m service.cli", description=main.__doc__)
    commands = whole.add_subparsers(dest="command", required=True)
    one = commands.add_parser("ask", help="ask one question about pictures")
    one.add_argument("pictures", nargs="+", type=Path, help="files, in order")
    one.add_argument("question")
    one.add_argument("--option", action="append", default=[], help="an answer to choose from")
    one.add_argument("--policy")
    one.add_argument("--budget", type=budget, help="fraction of the KV that is kept, or auto")
    one.add_argument("--max-tokens", type=int)
    one.add_argument("--timeout", type=float, help="seconds")
    one.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    one.add_argument("--url", default=os.environ.get("MYOPIA_URL", DEFAULT_URL))
    one.add_argument("--key", default=os.environ.get("MYOPIA_API_KEY"))
    return whole


def budget(text: str) -> float | str:
    """A number, or the word."""
    return text if text == "auto" else float(text)


def params_of(said: argparse.Namespace) -> dict[str, Any]:
    """The form's part `params`: only what was chosen."""
    pruning = {"policy": said.policy, "budget": said.budget}
    params: dict[str, Any] = {
        "stream": True,
        "options": said.option,
        "pruning": {name: value for name, value in pruning.items() if value is not None},
        "generation": {"max_tokens": said.max_tokens} if said.max_tokens else {},
    }
    if said.timeout:
        params["timeout_seconds"] = said.timeout
    return params


def ask(said: argparse.Namespace) -> int:
    """Send the pictures and print what comes."""
    missing = [str(path) for path in said.pictures if not path.is_file()]
    if missing:
        print(f"no such file: {', '.join(missing)}", file=sys.stderr)
        return 2
    headers = {"authorization": f"Bearer {said.key}"} if said.key else {}
    form = {"question": said.question, "params": json.dumps(params_of(said))}
    with ExitStack() as stack:
        opened = [(path.name, stack.enter_context(path.open("rb"))) for path in said.pictures]
        files = [("images", (name, file)) for name, file in opened]
        # The service pings every 15 s, so a minute of silence means that it is gone.
        patience = httpx.Timeout(10, read=60)
        client = stack.enter_context(httpx.Client(base_url=said.url, timeout=patience))
        reply = stack.enter_context(
            client.stream("POST", "/v1/ask", data=form, files=files, headers=headers)
        )
        if reply.status_code != 200:
            reply.read()
            return fail(reply.json() if "json" in reply.headers.get("content-type", "") else {})
        return show(events(reply.iter_lines()), as_json=said.json)


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """`(event, data)` of a stream of server-sent events."""
    kind, data = "message", ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data += line.removeprefix("data: ")
        elif not line and data:
            yield kind, json.loads(data)
            kind, data = "message", ""


def show(coming: Iterator[tuple[str, Any]], *, as_json: bool) -> int:
    """Print texts as they come, then what they cost; 1 when the ask failed."""
    for kind, data in coming:
        if kind == "token" and not as_json:
            print(data["text"], end="", flush=True)
        elif kind == "progress":
            print(progress(data), file=sys.stderr, flush=True)
        elif kind == "failed":
            return fail(data)
        elif kind == "done":
            print(json.dumps(data, indent=2, ensure_ascii=False) if as_json else "")
            usage, cache = data["usage"], data["cache"]["result"]
            kept = f"{usage['kept_tokens']:g} of {usage['image_tokens']} picture tokens kept"
            print(f"{kept}, cache {cache}", file=sys.stderr)
            for warning in data.get("warnings", ()):
                print(f"warning: {warning}", file=sys.stderr)
            return 0
    print("the stream ended before the answer did", file=sys.stderr)
    return 1


def progress(told: dict[str, Any]) -> str:
    """Where in line the ask stands, or that it runs."""
    if told["status"] == "running":
        return "taken up"
    seconds = told["expected_wait_seconds"]
    wait = "no worker is there yet" if seconds is None else f"about {seconds:.0f} s to wait"
    return f"number {told['position']} in line, {wait}"


def fail(problem: dict[str, Any]) -> int:
    """Say what went wrong and what to change."""
    place = f" ({problem['field']})" if "field" in problem else ""
    told = problem.get("detail", "the service answered with an error")
    print(f"{problem.get('code', 'failed')}: {told}{place}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    insist_on_ctrl_c()
    sys.exit(main())
