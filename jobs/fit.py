"""`python -m jobs.fit my.yaml`: factor, fit and score the datamodels and predict effects; few tasks, made for a machine with much memory."""

from jobs.entry import main

if __name__ == "__main__":
    main("fit")
