"""Which addresses this service may connect to on somebody else's word; the defence against SSRF.

One parser for the check and the connection. A name is resolved once, every address it has must
be public, and the connection goes to the address that was checked. Nothing here sends anything.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

PLAIN = re.compile(r"[!-\[\]-~]{1,2048}")  # visible ASCII without the backslash
NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z][a-z0-9-]{0,62}")
PORTS = {"https": 443, "http": 80}
NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Refused(Exception):
    """An address that is not connected to; the text says why, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a deployment allows: hosts (`*` any, `.x.org` below x.org), http, private networks."""

    hosts: tuple[str, ...]
    plain_http: bool = False
    private_networks: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL: where to connect, and as whom to greet the other side."""

    url: httpx.URL
    address: str

    @property
    def connect_url(self) -> httpx.URL:
        """The URL with the checked address in place of the name."""
        return self.url.copy_with(host=self.address)

    @property
    def headers(self) -> dict[str, str]:
        """`Host` as the name has it."""
        return {"Host": self.url.netloc.decode("ascii")}

    @property
    def extensions(self) -> dict[str, str]:
        """The name that the other side's certificate must carry."""
        return {"sni_hostname": self.url.host}


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of a name, by the machine's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in found]


async def check(text: str, rules: Rules, resolver: Resolve = resolve) -> Target:
    """The target of a URL; raises Refused for any that must not be connected to."""
    url = parse(text, rules)
    port = url.port or PORTS[url.scheme]
    try:
        addresses = await resolver(url.host, port)
    except OSError:
        raise Refused("its host name has no address") from None
    if not addresses:
        raise Refused("its host name has no address")
    if not rules.private_networks:
        for address in addresses:
            if not is_public(address):
                raise Refused("its host is not on the public internet")
    return Target(url, addresses[0])


def parse(text: str, rules: Rules) -> httpx.URL:
    """The URL, when its form and its host are allowed."""
    if not PLAIN.fullmatch(text):
        raise Refused("an address may have visible ASCII only, no backslash, 2048 at most")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise Refused("it is no address") from None
    if url.scheme not in PORTS or (url.scheme == "http" and not rules.plain_http):
        raise Refused("its scheme is not allowed; use https")
    if url.userinfo:
        raise Refused("an address may not carry a user or password")
    if not rules.private_networks and url.port not in (None, PORTS[url.scheme]):
        raise Refused("its port is not allowed; use the scheme's own")
    if not _allowed(url.host, rules.hosts):
        raise Refused("its host is not on this service's list")
    return url


def _allowed(host: str, hosts: Sequence[str]) -> bool:
    if host in hosts:
        return True
    if not NAME.fullmatch(host):  # numbers in any notation only when listed as such
        return False
    return any(entry == "*" or (entry.startswith(".") and host.endswith(entry)) for entry in hosts)


def is_public(text: str) -> bool:
    """Whether an address is of the public internet, whatever it is wrapped in."""
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and address.teredo is not None:
            return False
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast
