"""What nodes read from the tables of other nodes, and the form in which it is stored."""
