"""The amount of odd input that is drawn, and its seed.

The seed is the same in every run of the tests; `make fuzz` draws another one.
"""

import os

SEED = int(os.environ.get("DMM_FUZZ_SEED", "20261130"))
EFFORT = int(os.environ.get("DMM_FUZZ_EFFORT", "1"))
