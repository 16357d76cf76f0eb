"""Models trained elsewhere, by the masks and outputs they left; one plug-in a file, the table that names them is in pipeline.data."""
