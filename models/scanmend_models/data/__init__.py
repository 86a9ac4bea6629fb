"""Training data: endless, seeded pictures, and what a microscope would have seen of them."""
