"""`python -m jobs.convex my.yaml`: the former name of `python -m jobs.studies`, which it starts."""

from jobs.commands.options import screen
from jobs.entry import main

if __name__ == "__main__":
    screen.print("jobs.convex is called jobs.studies now; use that name", style="yellow")
    main("studies")
