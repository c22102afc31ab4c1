"""Kind `lead`: units copied ahead of where they stand. What is copied, how it is marked, and what restore drops."""
