"""Settings as users write them: neutral values, plug-ins as fields, paths, YAML, and what is said of wrong ones."""
