"""What nodes read from the tables of other nodes, and in which form it is stored."""
