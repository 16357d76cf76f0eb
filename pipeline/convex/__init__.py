"""The convex case, where the retrained minimiser is known exactly: what theory says of unlearning, beside what the methods do.

The linear study draws many ridge problems at once; single problems, real data and removals with a guarantee stand beside it.
"""
