"""The machine as written: YAML in, frozen specification out."""
