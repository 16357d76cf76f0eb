"""The one loop that trains, unlearns and matches, over ensembles of models; plug-in authors write the view of a single model."""
