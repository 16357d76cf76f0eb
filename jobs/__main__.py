"""`python -m jobs` is `dmm`."""

from jobs.cli import main

main()
