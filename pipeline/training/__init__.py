"""The one loop that trains, unlearns and matches, over ensembles of models.

Plug-in authors write the view of a single model.
"""
