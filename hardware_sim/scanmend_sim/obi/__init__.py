"""A scan generator of Open Beam Interface's kind, simulated: the adapter's tests need no instrument."""
