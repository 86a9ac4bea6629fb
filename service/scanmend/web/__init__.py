"""The web process: the operators' page, the API under it, and the metrics. It watches; it is never in a frame's way."""
