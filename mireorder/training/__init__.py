"""From a reordered dataset to a trained model and back: training, generation.

Everything that needs torch lives here, and nothing here is imported by ``import mireorder``.
"""

import logging
import os
from importlib.util import find_spec

from mireorder.errors import MireorderError

NEEDED = ("torch", "transformers", "trl", "accelerate", "peft")

# Read once by huggingface_hub when it is first imported, so it has to be set before that.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# peft imports it for every adapter, and without a GPU it warns that a faster kernel could be had.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

_missing = [name for name in NEEDED if find_spec(name) is None]
if _missing:
    raise MireorderError(
        f"training and generation need {', '.join(_missing)}, which this Python does not have; "
        "pip install 'mireorder[train]'"
    )
