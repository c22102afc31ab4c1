"""How well a model answers, and which order it learns best."""
