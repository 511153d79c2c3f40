"""What a run costs: counted actions times energy per action, and silicon area."""
