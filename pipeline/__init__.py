"""Machine unlearning by data attribution.

From training data to an unlearning verdict, resumable and distributed.
"""

__version__ = "0.1.0"
