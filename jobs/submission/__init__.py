"""The package of files that a submitted job needs, and checks of addresses that the job cannot reach."""
