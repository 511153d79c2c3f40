"""The mapping search that uses the clock: what is wanted, one nest's search, and a network's."""
