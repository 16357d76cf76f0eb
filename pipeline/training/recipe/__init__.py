"""The training recipe and its parts: objective, augmentation, optimiser and schedule."""
