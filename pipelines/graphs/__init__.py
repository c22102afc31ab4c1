"""The path-star task: the way from the centre of a star to the end of one of its arms."""
