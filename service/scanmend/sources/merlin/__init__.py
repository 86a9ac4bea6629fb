"""Quantum Detectors' Merlin: images over TCP, and its control socket."""
