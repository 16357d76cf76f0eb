"""Settings that are accepted under an old name, with a warning that gives the new name."""

import warnings


class RenamedWarning(FutureWarning):
    """A setting is accepted under an old name; the message gives the new name.

    The command line shows each message once, as a notice.
    """


def warn_renamed(message: str) -> None:
    """Warn that a setting has another name now."""
    warnings.warn(message, RenamedWarning, stacklevel=2)
