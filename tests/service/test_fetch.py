"""Pictures by address: every known trick is refused before a byte is sent, and budgets hold."""

import asyncio
import http.server
import threading
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import ClassVar

import httpx
import pytest

from service.addresses import Refused, Resolve, Rules, Target, check, is_public
from tests.redis_server import RedisServer
from tests.service.conftest import settings_for
from tests.service.gateway import listening
from tests.service.responder import Responder
from tests.service.test_ask import RED, item

ANY = Rules(("*",), plain_http=True)
LISTED = Rules(("pics.example.org", ".cdn.example.com"), plain_http=True)


def resolved_to(*addresses: str) -> Resolve:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolver


def checked(url: str, rules: Rules = ANY, *addresses: str) -> Target:
    return asyncio.run(check(url, rules, resolved_to(*(addresses or ("93.184.216.34",)))))


TRICKS = [
    "http://127.0.0.1/a.png",
    "http://127.1/a.png",
    "http://0x7f.1/a.png",
    "http://0x7f000001/a.png",
    "http://2130706433/a.png",
    "http://0177.0.0.1/a.png",
    "http://0/a.png",
    "http://[::1]/a.png",
    "http://[::]/a.png",
    "http://[::ffff:127.0.0.1]/a.png",
    "http://[::ffff:7f00:1]/a.png",
    "http://[64:ff9b::7f00:1]/a.png",
    "http://[2002:7f00:1::]/a.png",
    "http://[fe80::1%25eth0]/a.png",
    "http://169.254.169.254/latest/meta-data/",
    "http://metadata.google.internal./a",
    "http://127.0.0.1\\@1.1.1.1/a.png",
    "http://1.1.1.1\\@127.0.0.1/a.png",
    "http://user:secret@example.org/a.png",
    "http://example.org@127.0.0.1/a.png",
    "http://example.org:22/a.png",
    "http://example.org:6379/a.png",
    "http://example.org\r\nHost: evil/a.png",
    "http://example.org/a b.png",
    "http://exämple.org/a.png",
    "http://①②⑦.0.0.1/a.png",
    "http://127。0。0。1/a.png",
    "file:///etc/passwd",
    "ftp://example.org/a.png",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "//example.org/a.png",
    "/etc/passwd",
    "http:///a.png",
    "http://",
    "http://[::1",
    "https://" + "a" * 3000,
]


@pytest.mark.parametrize("url", TRICKS)
def test_tricks_are_refused_by_form_alone(url: str) -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        raise AssertionError("a name was looked up")

    with pytest.raises(Refused) as caught:
        asyncio.run(check(url, ANY, never))
    assert url not in str(caught.value) or len(url) < 3


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.org/a.png",
        "https://pics.example.org.evil.org/a.png",
        "https://evil-pics.example.org/a.png",
        "https://cdn.example.com/a.png",
        "https://evilcdn.example.com/a.png",
        "https://pics.example.org./a.png",
        "https://1.1.1.1/a.png",
    ],
)
def test_hosts_off_the_list_are_refused(url: str) -> None:
    with pytest.raises(Refused):
        checked(url, LISTED)


@pytest.mark.parametrize(
    "url",
    [
        "https://pics.example.org/a.png",
        "https://PICS.example.org/a.png",
        "https://x.cdn.example.com/a.png",
        "https://a.b.cdn.example.com:443/a.png?x=%20",
    ],
)
def test_hosts_on_the_list_are_connected_to_by_their_checked_address(url: str) -> None:
    target = checked(url, LISTED)
    assert target.connect_url.host == "93.184.216.34"
    assert target.headers["Host"] == target.url.host == target.extensions["sni_hostname"]


def test_plain_http_is_refused_unless_allowed() -> None:
    with pytest.raises(Refused):
        checked("http://pics.example.org/", Rules(("pics.example.org",)))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::",
        "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1",
        "not an address",
    ],
)  # fmt: skip
def test_names_that_lead_inside_are_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(Refused):
        checked("http://rebound.example.org/", ANY, address)
    with pytest.raises(Refused):
        checked("http://rebound.example.org/", ANY, "93.184.216.34", address)


def test_public_addresses_pass() -> None:
    for address in ("1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"):
        assert is_public(address)
    v6 = checked("http://six.example.org/", ANY, "2606:4700::1111")
    assert str(v6.connect_url) == "http://[2606:4700::1111]/"


class Pages(http.server.BaseHTTPRequestHandler):
    """A host with one good picture and every bad habit."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["host"]))
        port = self.server.server_address[1]
        if self.path.startswith("/hop"):
            number = int(self.path.removeprefix("/hop"))
            self.redirect(f"/hop{number - 1}" if number else "/red.png")
            return
        match self.path:
            case "/red.png":
                self.reply(RED)
            case "/inside":
                self.redirect("http://169.254.169.254/latest/meta-data/")
            case "/elsewhere":
                self.redirect(f"http://127.0.0.1:{port}/red.png")
            case "/file":
                self.redirect("file:///etc/passwd")
            case "/endless":
                self.reply(b"x" * 400_000, length=False)
            case "/slow":
                time.sleep(1.5)
                self.reply(RED)
            case "/packed":
                self.reply(RED, ("Content-Encoding", "gzip"))
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def redirect(self, place: str) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def reply(self, data: bytes, *headers: tuple[str, str], length: bool = True) -> None:
        self.send_response(HTTPStatus.OK)
        for header in headers:
            self.send_header(*header)
        if length:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def host() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture(scope="module")
def fetching(redis_server: RedisServer) -> Iterator[httpx.Client]:
    settings = settings_for(
        redis_server,
        fetch_hosts=("localhost",),
        fetch_plain_http=True,
        fetch_private_networks=True,
        fetch_timeout_seconds=1,
        fetch_max_pictures=3,
        max_image_bytes=100_000,
    )
    with listening(settings) as url, httpx.Client(base_url=url, timeout=10) as client:
        yield client


def asked(fetching: httpx.Client, host: int, *paths: str) -> httpx.Response:
    images = [item(RED), *({"url": f"http://localhost:{host}{path}"} for path in paths)]
    return fetching.post("/v1/ask", json={"question": "Which?", "images": images})


def test_picture_is_fetched_and_stored_like_any_other(
    fetching: httpx.Client, host: int, responder: Responder
) -> None:
    reply = asked(fetching, host, "/red.png", "/hop1")
    assert reply.status_code == 200, reply.text
    digests = {part.digest for part in responder.asks[0].turns[0].parts if part.kind == "image"}
    assert len(digests) == 1
    assert ("/red.png", f"localhost:{host}") in Pages.asked


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/missing", "bad_image"),
        ("/inside", "bad_image"),
        ("/elsewhere", "bad_image"),
        ("/file", "bad_image"),
        ("/hop9", "bad_image"),
        ("/slow", "bad_image"),
        ("/packed", "bad_image"),
        ("/endless", "too_large"),
    ],
)
def test_bad_hosts_are_refused_by_index(
    fetching: httpx.Client, host: int, path: str, code: str
) -> None:
    problem = asked(fetching, host, path).json()
    assert (problem["code"], problem["field"]) == (code, "/images/1/url")
    assert problem["image_index"] == 1
    assert path not in problem["detail"]
    assert "169.254" not in problem["detail"]


def test_number_of_addresses_is_limited(fetching: httpx.Client, host: int) -> None:
    problem = asked(fetching, host, *["/red.png"] * 4).json()
    assert (problem["code"], problem["image_index"]) == ("bad_image", 4)


def test_time_is_for_the_whole_ask(fetching: httpx.Client, host: int) -> None:
    began = time.monotonic()
    assert asked(fetching, host, "/slow", "/slow", "/slow").status_code == 422
    assert time.monotonic() - began < 1.6
