"""What MLflow shows of a run: one parent run, a child run for each stage and each (unlearner, forget set).

The store is the truth; tracking only mirrors it.
"""
