"""A pixelated detector of DECTRIS' kind: 4D-STEM series on Stream V2 or V1, armed over a SIMPLON interface."""
