"""Data sets, one plug-in a file; the table that names them is in pipeline.data."""
