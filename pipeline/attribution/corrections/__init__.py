"""Estimators that correct the effects that another estimator predicts."""
