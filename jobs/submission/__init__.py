"""The package of a submitted job, and the addresses that it can use."""
