"""The linear setting of the paper: many ridge problems at once, every algorithm, and the theory."""
