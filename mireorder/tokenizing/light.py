"""Tokenizers by the package tokenizers alone, where transformers is not installed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from mireorder.errors import MireorderError

TOKENIZER, CONFIG = "tokenizer.json", "tokenizer_config.json"
KEPT = ("special_tokens_map.json", "chat_template.jinja")  # saved as they are
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
FULL = "for tokenizers of other forms pip install 'mireorder[transformers]'"


class LightTokenizer:
    """A ``tokenizer.json`` with as much of transformers' interface as token form uses.

    Args:
        backend: of the package tokenizers; it is changed: padding and truncation are put away.
        config: what ``tokenizer_config.json`` says: names of special tokens.
        name_or_path: where it comes from.

    Raises:
        MireorderError: the config asks for what ``tokenizer.json`` does not do.
    """

    def __init__(self, backend: Tokenizer, config: Mapping[str, Any], name_or_path: str = "") -> None:
        backend.no_padding()
        backend.no_truncation()
        self.backend_tokenizer, self.config, self.name_or_path = backend, dict(config), name_or_path
        self.eos_token = _content(config.get("eos_token"))
        self._require_done()

    def __call__(self, text: str | Sequence[str], add_special_tokens: bool = True, **_: Any) -> dict[str, Any]:
        """``input_ids`` of a text, or of several. Other options are those of transformers, and change nothing here."""
        if isinstance(text, str):
            return {"input_ids": self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids}
        encodings = self.backend_tokenizer.encode_batch(list(text), add_special_tokens=add_special_tokens)
        return {"input_ids": [encoding.ids for encoding in encodings]}

    def __len__(self) -> int:
        return int(self.backend_tokenizer.get_vocab_size())

    @property
    def eos_token_id(self) -> int | None:
        """The id of the token that ends a completion."""
        return None if self.eos_token is None else self.backend_tokenizer.token_to_id(self.eos_token)

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id -> token, of those that are found before a text is cut."""
        return dict(self.backend_tokenizer.get_added_tokens_decoder())

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of special tokens that have a name, such as the EOS."""
        named = filter(None, (_content(self.config.get(name)) for name in NAMED))
        ids = (self.backend_tokenizer.token_to_id(token) for token in named)
        return sorted({token for token in ids if token is not None})

    def get_vocab(self) -> dict[str, int]:
        """Token -> id."""
        return dict(self.backend_tokenizer.get_vocab())

    def convert_ids_to_tokens(self, token: int) -> str | None:
        """The token of an id."""
        return self.backend_tokenizer.id_to_token(token)

    def add_tokens(self, tokens: Sequence[AddedToken]) -> int:
        """Add tokens; returns how many are new."""
        return int(self.backend_tokenizer.add_tokens(list(tokens)))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write it as transformers does, and reads it."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.backend_tokenizer.save(str(path / TOKENIZER))
        config = {"tokenizer_class": "PreTrainedTokenizerFast"} | self.config
        (path / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for name in KEPT:
            source = Path(self.name_or_path) / name
            if self.name_or_path and source.is_file():
                (path / name).write_bytes(source.read_bytes())

    def _require_done(self) -> None:
        """Raise MireorderError if transformers would make another tokenizer of these files."""
        added = {token.content for token in self.added_tokens_decoder.values()}
        listed = (self.config.get("added_tokens_decoder") or {}).values()
        missing = [token for token in map(_content, listed) if token not in added]
        probe = self("0")["input_ids"] or [None]
        for ask, name, at in ("add_bos_token", "bos_token", 0), ("add_eos_token", "eos_token", -1):
            token = _content(self.config.get(name))
            there = token is not None and probe[at] == self.backend_tokenizer.token_to_id(token)
            if ask in self.config and bool(self.config[ask]) != there:
                missing.append(ask)
        if missing:
            raise MireorderError(
                f"{self.name_or_path}: {CONFIG} asks for {missing[0]!r}, which {TOKENIZER} does not do; {FULL}"
            )


def load_light(path_or_id: str | Path) -> LightTokenizer:
    """Load a tokenizer without transformers: from a folder, a ``tokenizer.json`` file or the hub.

    Raises:
        MireorderError: there is no ``tokenizer.json``, it can't be read, or it is not all of the tokenizer.
    """
    path = Path(path_or_id)
    try:
        if path.is_file():
            return LightTokenizer(Tokenizer.from_file(str(path)), {}, str(path))
        folder = path if path.is_dir() else _from_hub(str(path_or_id))
        config: dict[str, Any] = {}
        for name in ("special_tokens_map.json", CONFIG):
            if (folder / name).is_file():
                config |= json.loads((folder / name).read_text(encoding="utf-8"))
        return LightTokenizer(Tokenizer.from_file(str(folder / TOKENIZER)), config, str(folder))
    except MireorderError:
        raise
    except Exception as error:  # the Rust half raises bare Exceptions
        problem = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        raise MireorderError(
            f"{path_or_id}: no {TOKENIZER} can be read here ({problem}); name a folder that has one, or {FULL}"
        ) from error


def fast_tokenizer(backend: Tokenizer, **named: str) -> Any:
    """A tokenizer that was made here, with its special tokens: transformers' if that is installed.

    Args:
        backend: of the package tokenizers.
        **named: ``eos_token`` and others of `NAMED`.
    """
    if find_spec("transformers") is not None:
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False, **named)
    backend.add_special_tokens([AddedToken(token, special=True) for token in named.values()])
    return LightTokenizer(backend, {"clean_up_tokenization_spaces": False, **named})


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, allow_patterns=[TOKENIZER, CONFIG, *KEPT]))


def _content(token: Any) -> str | None:
    """The text of a special token, which configs write as a text or as an object."""
    found = token.get("content") if isinstance(token, Mapping) else token
    return found if isinstance(found, str) else None
