"""The adapter `file`: a file of another program, replayed as if its instrument were measuring now."""
