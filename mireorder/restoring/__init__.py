"""The way back, one emission at a time, on the standard library alone: what `restore.py` beside a plan is made of.

The modules import the standard library, each other, `mireorder.errors` and `mireorder.serialise`, and run on Python
3.9: `mireorder.standalone` joins their source into one file. Cutters and kinds build on them: there is one way back.
"""
