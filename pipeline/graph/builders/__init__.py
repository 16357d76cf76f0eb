"""From the config of an experiment to its nodes."""
