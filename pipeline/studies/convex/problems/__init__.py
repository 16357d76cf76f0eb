"""Convex problems whose minimiser is known exactly, and the constants that guarantees rest on."""
