"""Tables of an experiment as files for other tools."""
