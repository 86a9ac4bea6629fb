"""Specimens that are drawn: the same picture for the same name, seed, shape and pixel size, with ground truth."""
