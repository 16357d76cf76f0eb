"""The convex study as a guest: its settings, tables, chapter and results."""
