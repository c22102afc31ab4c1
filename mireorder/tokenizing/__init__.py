"""Text to token ids and back: needs the package tokenizers, or transformers for what has no ``tokenizer.json``."""

import os
from importlib.util import find_spec

from mireorder.errors import MireorderError

# Read once by huggingface_hub when it is first imported, so it has to be set before that.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

if find_spec("tokenizers") is None:
    raise MireorderError("token form needs tokenizers, which this Python does not have; pip install tokenizers")
