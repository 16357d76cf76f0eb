"""What a user submits: the `dmm` command and the experiments that come with it."""
