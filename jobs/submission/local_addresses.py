"""Which addresses mean something else on another machine than they do here."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

# What host files call the loopback; a name below .localhost is it by definition (RFC 6761).
_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})


def is_loopback(uri: str) -> bool:
    """Return whether the host in uri is whatever machine asks for it; of what has no host it is False."""
    host = ""
    try:
        host = urlsplit(uri).hostname or ""
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in _NAMES or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def is_database_outside(uri: str, folder: Path | None) -> bool:
    """Return whether uri is an SQLite file that does not lie in folder, which others can reach if it is given."""
    if not uri.startswith("sqlite:"):
        return False
    return folder is None or not Path(uri.removeprefix("sqlite:///")).resolve().is_relative_to(folder)
