"""The paper's linear setting: many ridge problems at once, every algorithm, theory beside it."""
