"""Plans, datasets and comparisons as pictures, tables and web pages."""
