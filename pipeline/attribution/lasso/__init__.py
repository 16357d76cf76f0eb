"""LASSO datamodels, which the paper uses: the estimator, its solvers and their compiled loops."""
