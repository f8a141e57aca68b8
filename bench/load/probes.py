"""One timed exchange of each kind, and a crowd of clients; seconds come back, nothing is judged."""

import json
import threading
import time
from http.client import HTTPConnection
from typing import Any

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGklEQVR42mM8ISfHQApgYiARjGoY1TB0NAAATx8B"
    "JMixHB8AAAAASUVORK5CYII="
)


class Client:
    """One keep-alive connection to 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def post(self, path: str, body: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        """Seconds until the whole answer is there, and the answer."""
        text = json.dumps(body)
        started = time.perf_counter()
        self._connection.request("POST", path, text, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        data = answer.read()
        took = time.perf_counter() - started
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {data[:300]!r}")
        return took, json.loads(data)

    def first_event(self, path: str, body: dict[str, Any]) -> float:
        """Seconds until the first event of a stream; the rest is read and dropped."""
        text = json.dumps({**body, "stream": True})
        started = time.perf_counter()
        self._connection.request("POST", path, text, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        while b"data:" not in answer.readline():
            pass
        took = time.perf_counter() - started
        answer.read()
        return took

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def ask_body(question: str, *, cache: str = "off") -> dict[str, Any]:
    """An ask about one 16x16 picture."""
    return {"question": question, "images": [{"data": PIXEL}], "cache": cache}


def crowd(port: int, clients: int, seconds: float, cache: str) -> tuple[int, list[float]]:
    """Answers and their seconds from `clients` connections that ask one after another.

    With `cache` "use" each client asks the same again and again, else something new every time.
    """
    took: list[float] = []
    lock = threading.Lock()
    until = time.perf_counter() + seconds

    def keep_asking(name: int) -> None:
        client, mine, number = Client(port), [], 0
        while time.perf_counter() < until:
            question = f"crowd {name} {number if cache == 'off' else ''}"
            mine.append(client.post("/v1/ask", ask_body(question, cache=cache))[0])
            number += 1
        client.close()
        with lock:
            took.extend(mine)

    threads = [threading.Thread(target=keep_asking, args=(name,)) for name in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took), took
