"""Addresses that mean something else on another machine, such as localhost."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

# Names of the loopback in host files. A name below .localhost is the loopback by definition (RFC 6761).
_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})


def is_loopback(uri: str) -> bool:
    """Return whether the host in uri always means the machine that uses it; False if uri has no host."""
    host = ""
    try:
        host = urlsplit(uri).hostname or ""
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in _NAMES or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def is_database_outside(uri: str, folder: Path | None) -> bool:
    """Return whether uri is an SQLite file that other machines cannot reach.

    folder is a local folder that other machines can reach, such as the store, or None if there is none.
    """
    if not uri.startswith("sqlite:"):
        return False
    return folder is None or not Path(uri.removeprefix("sqlite:///")).resolve().is_relative_to(folder)
