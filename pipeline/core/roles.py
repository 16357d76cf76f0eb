"""The roles that models have in an experiment."""

from typing import Literal, TypeAlias

# The populations that unlearning may start from.
StartRole: TypeAlias = Literal["full", "scout", "subset", "designed", "heldout", "oracle", "floor"]
