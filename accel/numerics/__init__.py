"""The integer truth that everything is compared with: each formula lives here once."""
