"""Addresses without the passwords that they may hold, for messages and logs."""

import re


def masked(address: str) -> str:
    """Return address with `***` in place of the user and password before its host.

    An address without a user and password is returned unchanged.
    """
    return re.sub(r"://[^@]*:[^@]*@(.*@)?", "://***@", address, count=1)
