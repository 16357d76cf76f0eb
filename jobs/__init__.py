"""The commands of a user: `dmm`, and `python -m jobs.run`, which a cluster starts as a Ray job."""

import sys

# Former modules of single stages, each with the option that replaces it.
FORMER_ENTRIES = {
    f"jobs.{stage}": f"--only {stage}"
    for stage in ("train", "fit", "unlearn", "evaluate", "report", "studies")
}
FORMER_ENTRIES["jobs.convex"] = "--only studies"

# `python -m jobs.train` first imports this package, while sys.argv still begins with "-m". A former module is
# refused at this point, before Python reports that it does not exist.
if sys.argv[:1] == ["-m"]:
    for _module in FORMER_ENTRIES.keys() & set(sys.orig_argv):
        print(
            f"dmm: `python -m {_module}` no longer exists; use `python -m jobs.run "
            f"{FORMER_ENTRIES[_module]}`",
            file=sys.stderr,
        )
        sys.exit(2)
