"""Information: entropies and mutual information in bits, from counts."""
