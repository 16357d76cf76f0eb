"""How far unlearned models are from retrained ones."""
