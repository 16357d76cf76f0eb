"""Builders of the nodes of an experiment from its config."""
