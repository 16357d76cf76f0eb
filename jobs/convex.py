"""`python -m jobs.convex my.yaml`: compute the convex study of an experiment that has one."""

from jobs.entry import main

if __name__ == "__main__":
    main("convex")
