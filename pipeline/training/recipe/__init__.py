"""The parts of a training recipe: objective, augmentation, optimiser and schedule."""
