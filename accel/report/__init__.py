"""What a person sees of a result: tables, CSV, plots, a page, a folder. Knows result records, never engines."""
