"""The page that compares finished experiments."""
