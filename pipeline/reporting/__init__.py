"""The report of an experiment: one self-contained HTML page, its figures, and the words that its numbers allow."""
