"""What certified removal and descent-to-delete promise, and the strongest attack on it."""
