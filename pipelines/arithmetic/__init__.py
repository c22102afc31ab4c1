"""Addition, multiplication, logarithm, greatest common divisor, chickens and rabbits."""
