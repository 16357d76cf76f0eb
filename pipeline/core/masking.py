"""Addresses as they may be shown: a password in one is nobody's business."""

import re


def masked(address: str) -> str:
    """Return address with `***` in place of a user and password before its host; any other address as it is."""
    return re.sub(r"://[^@]*:[^@]*@(.*@)?", "://***@", address, count=1)
