"""Shows a run in MLflow: one parent run, and a child run for each stage and each (unlearner, forget set).

The store is the truth; tracking only mirrors it.
"""
