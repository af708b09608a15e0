"""Where the server may send requests that a client asks for: to public addresses, and no further.

A name is resolved once for each request, every address it has must be allowed, and the connection
goes to one of just these addresses: whoever owns a name cannot point it at this host's network in
between, or have it answer differently when it is asked again.
"""

import ipaddress
import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpx

from raiw.errors import InvalidInput, Unreachable
from service.contract.errors import ForbiddenAddress

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network

_UNICAST = ipaddress.ip_network("2000::/3")
"""The only IPv6 addresses that are assigned to hosts of the Internet: neither loopback, nor local,
nor one that stands for an IPv4 address by mapping or NAT64."""
_NOT_HOSTS = [
    ipaddress.ip_network(network)
    for network in (
        "2001::/32",  # Teredo, which carries an IPv4 address
        "2002::/16",  # 6to4, likewise
        "192.0.0.0/24",  # protocol assignments, metadata of Oracle's cloud among them
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # metadata of Azure, on an address that looks public
    )
]
"""What is no ordinary host of the Internet, although some versions of Python call it global."""
_FORM = "write four decimal numbers, or a name"
_LAST_PORT = 65535


def is_allowed(address: Address, networks: Collection[Subnet]) -> bool:
    """Whether an address is public, or in one of the networks that the operator allows.

    >>> [is_allowed(ipaddress.ip_address(text), ()) for text in ("1.1.1.1", "::ffff:1.1.1.1")]
    [True, False]
    """
    if any(address in network for network in networks):
        return True
    if any(address in network for network in _NOT_HOSTS):
        return False
    if isinstance(address, IPv6Address):
        return address in _UNICAST and address.is_global
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(url: httpx.URL, networks: Collection[Subnet]) -> list[str]:
    """Return the addresses of a URL's host, in the order in which to try them.

    Raises
    ------
    ForbiddenAddress
        One of them is not allowed.
    Unreachable
        It has none.
    """
    host = url.raw_host.decode()
    try:
        found = socket.getaddrinfo(host, _port(url), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"the name {host} has no address") from None
    addresses = [str(where[0]) for *_, where in found]
    for text in addresses:
        address = ipaddress.ip_address(text)
        plain = url.scheme == "http" and not address.is_loopback
        if plain or not is_allowed(address, networks):
            # Which address stays unsaid: the client could map the network with it.
            raise ForbiddenAddress(
                f"{host} has an address that is not public, which RAIW_WEBHOOK_NETWORKS does not "
                f"allow"
            )
    return addresses


def check_url(text: str, networks: Collection[Subnet]) -> str:
    """Return a URL as it will be used; its name is not looked up.

    Raises
    ------
    InvalidInput
        It is none, or has what has no place here.
    ForbiddenAddress
        It names an address that is not allowed.
    """
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode()
    except (httpx.InvalidURL, UnicodeError) as error:
        raise _wrong(f"the url cannot be read: {error}") from None
    if url.scheme != "https" and not (url.scheme == "http" and _is_here(host, networks)):
        raise _wrong(f"the url must begin with https://, not with {text[:20]!r}")
    if not host or _port(url) > _LAST_PORT:
        raise _wrong("the url names no host, or a port above 65535")
    if url.userinfo or url.fragment:
        raise _wrong("the url must have neither a user name nor a password nor a fragment")
    if _is_number(host):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise _wrong(f"the url names the host {host!r}, which is no address: {_FORM}") from None
        if not is_allowed(address, networks):
            raise ForbiddenAddress(
                f"the address {host} is not public: name a public host, or let the operator allow "
                f"its network in RAIW_WEBHOOK_NETWORKS",
                pointer="/url",
            )
    return str(url)


def _is_here(host: str, networks: Collection[Subnet]) -> bool:
    """Whether a host is this machine by its looks, and allowed."""
    try:
        here = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return False
    return here.is_loopback and is_allowed(here, networks)


def _is_number(host: str) -> bool:
    """Whether resolvers may read a host as a number, as they do ``0x7f.1`` and ``2130706433``."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    return ":" in host or last.isdecimal() or last.startswith("0x")


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _wrong(words: str) -> InvalidInput:
    return InvalidInput(words, pointer="/url")
