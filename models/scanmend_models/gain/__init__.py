"""Trains the network of the rescan policy `gain`: how much squared error one more visit takes away, and where."""
