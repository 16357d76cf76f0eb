"""`python -m jobs.unlearn my.yaml`: unlearn every forget set with every method; made for GPU workers."""

from jobs.entry import main

if __name__ == "__main__":
    main("unlearn")
