"""How much odd input is drawn, and from which seed.

The same in every run of the suite, another one in `make fuzz`.
"""

import os

SEED = int(os.environ.get("DMM_FUZZ_SEED", "20261130"))
EFFORT = int(os.environ.get("DMM_FUZZ_EFFORT", "1"))
