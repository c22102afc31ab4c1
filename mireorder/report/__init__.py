"""Pictures of plans and of comparisons."""
