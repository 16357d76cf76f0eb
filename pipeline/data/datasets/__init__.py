"""Data sets, one plug-in per file; the table that names them is in pipeline.data."""
