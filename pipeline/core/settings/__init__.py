"""Settings as users write them: neutral values, plug-ins as fields, paths, YAML, and messages on mistakes."""
