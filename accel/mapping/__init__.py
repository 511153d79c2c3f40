"""Where and when: tiles, loop order and the program of instructions."""
