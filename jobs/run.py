"""`python -m jobs.run my.yaml`: what `dmm run` does, for a cluster to start as a job."""

from jobs.cli import main_of
from jobs.commands.run import run

if __name__ == "__main__":
    main_of(run)
