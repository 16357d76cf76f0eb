"""`python -m jobs.run my.yaml` does what `dmm run` does; a cluster starts it as a job."""

from jobs.cli import main_of
from jobs.commands.run import run

if __name__ == "__main__":
    main_of(run)
