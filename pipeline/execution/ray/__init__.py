"""Executors on Ray. Only jobs imports this room."""
