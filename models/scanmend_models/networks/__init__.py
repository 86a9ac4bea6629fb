"""One network a file; every network keeps the contract of `docs/models.md`."""
