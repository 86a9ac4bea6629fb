"""Benchmarks: each compares the service with a floor in one run, in turn, and prints paired ratios."""
