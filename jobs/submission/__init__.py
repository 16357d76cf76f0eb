"""What a submitted job takes along."""
