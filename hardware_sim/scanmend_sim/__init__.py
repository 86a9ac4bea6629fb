"""A simulated scanning electron microscope that speaks Scanmend's native protocol."""
