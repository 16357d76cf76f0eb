"""The nodes of the convex study."""
