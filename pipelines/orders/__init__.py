"""Every order of a few units: which is learnt best, and does a score know?"""
