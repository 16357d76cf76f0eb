"""LASSO datamodels, which Georgiev et al. 2025 use: the estimator, its solvers and their compiled loops."""
