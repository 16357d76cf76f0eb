"""The chapter on the convex study: its words, figures and tables."""
