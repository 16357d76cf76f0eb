"""Exports of an experiment's tables as files for other tools."""
