"""Runs of an experiment: what they compute, show and record."""
