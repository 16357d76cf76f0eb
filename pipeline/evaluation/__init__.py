"""How far unlearned models are from retrained ones: margins, KLoM with its intervals, accuracy."""
