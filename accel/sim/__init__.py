"""A program on a machine: the clock, the array and the vector unit."""
