"""Ground floor: what every other package may import and what imports nothing of the pipeline."""
