"""What stands behind the `dmm` command: its verbs, what they do, and how answers are shown."""
