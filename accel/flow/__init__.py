"""The network as loops: the dataflow IR."""
