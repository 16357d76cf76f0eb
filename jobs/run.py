"""`python -m jobs.run my.yaml`: all stages, one after the other; what `dmm run` does, for a cluster to start."""

from jobs.entry import main

if __name__ == "__main__":
    main("run")
