"""Estimators by ridge regression and by differences of means, and the parts that they share."""
