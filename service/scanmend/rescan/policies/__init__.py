"""The rescan policies, one a file."""
