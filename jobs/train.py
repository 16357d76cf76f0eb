"""`python -m jobs.train my.yaml`: resolve forget sets, find groups, train every population; many small tasks, made for spot machines."""

from jobs.entry import main

if __name__ == "__main__":
    main("train")
