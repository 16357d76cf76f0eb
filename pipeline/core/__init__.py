"""Plug-ins, settings, seeds, fingerprints, array types and errors, for all other rooms."""
