"""The (ε, δ) promises of certified removal and descent-to-delete, and the strongest attack on them."""
