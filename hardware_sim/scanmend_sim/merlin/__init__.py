"""A pixelated detector of Merlin's kind: images over TCP, and a control socket."""
