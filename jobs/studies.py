"""`python -m jobs.studies my.yaml`: compute the studies of an experiment that has some."""

from jobs.entry import main

if __name__ == "__main__":
    main("studies")
