"""Networks for the simulator: the small trained ones that ship, and the recipes that make the others."""
