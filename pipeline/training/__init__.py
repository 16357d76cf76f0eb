"""The loop that trains, unlearns and matches, over ensembles of models.

Authors of plug-ins write code for a single model.
"""
