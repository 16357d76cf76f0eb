"""The training loop, which trains, unlearns and matches many models at once.

Plug-ins are written for a single model; this package runs many of them together.
"""
