"""Settings as users write them.

Neutral values, plug-ins as fields, paths, YAML, and what is said of wrong ones.
"""
