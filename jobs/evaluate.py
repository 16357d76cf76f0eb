"""`python -m jobs.evaluate my.yaml`: judge unlearned models against oracles with KLoM."""

from jobs.entry import main

if __name__ == "__main__":
    main("evaluate")
