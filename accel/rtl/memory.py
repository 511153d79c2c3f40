"""Whether the memory there is will do to compile an array."""


def check_memory(elements):
    pass
