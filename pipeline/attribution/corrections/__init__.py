"""Corrections of the effects that an estimator predicts."""
