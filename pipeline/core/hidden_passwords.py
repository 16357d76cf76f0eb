"""Addresses without the passwords that they may hold, for messages and logs."""

import re


def masked(address: str) -> str:
    """Return address with `***` in place of a user and password before its host.

    An address without them is returned unchanged.
    """
    return re.sub(r"://[^@]*:[^@]*@(.*@)?", "://***@", address, count=1)
