"""DECTRIS detectors (ARINA, QUADRO, SINGLA, ELA): Stream V2 over ZeroMQ, and the SIMPLON interface over HTTP."""
