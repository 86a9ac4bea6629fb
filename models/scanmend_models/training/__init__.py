"""Training: configuration, losses, checkpoints, and the loop that `python -m scanmend_models.train` runs."""
