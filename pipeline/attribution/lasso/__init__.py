"""LASSO datamodels, the estimator of the paper: the estimator, its solvers and their compiled loops."""
