"""What a user submits: one entry for each stage, `run` for all of them, and beside them the `dmm` command with the experiment that comes with it."""
