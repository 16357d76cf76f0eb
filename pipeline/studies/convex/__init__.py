"""The convex study: its settings, tables, chapter and results."""
