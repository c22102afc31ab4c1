"""The paper's tasks, end to end: thin assemblies of mireorder, run from a clone as ``python -m pipelines.NAME``."""
