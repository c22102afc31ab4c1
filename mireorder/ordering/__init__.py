"""Orders: policies that turn scores into a permutation, the plan that keeps it, and the way back."""
