"""The roles that models have in an experiment."""

from typing import Literal, TypeAlias

# The populations of models that may be unlearned.
StartRole: TypeAlias = Literal["full", "scout", "subset", "designed", "heldout", "oracle", "floor"]
