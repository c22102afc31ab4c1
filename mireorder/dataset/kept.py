"""The columns of the input that are no source or target: kept in what is written, with one type in all shards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mireorder.arrays import decoded
from mireorder.dataset.json_kinds import JSON, Kind, arrow_type, merged
from mireorder.errors import InputError
from mireorder.serialise import fault_of_name

_WRITTEN = ("permutation", "row_id", "target")
_TRAINED_ON = (
    *("text", "messages", "conversations", "prompt", "completion", "chosen", "rejected", "image", "images"),
    *("label", "labels", "label_ids", "tools", "chat_template_kwargs"),
)
_GIVEN = (
    *("input_ids", "inputs_embeds", "attention_mask", "position_ids", "token_type_ids", "pixel_values"),
    *("completion_mask", "assistant_masks", "seq_lengths"),
)
RESERVED = {
    **dict.fromkeys(_TRAINED_ON, "trainers take a column of this name for what is to be learnt"),
    **dict.fromkeys(_GIVEN, "trainers hand a column of this name to the model"),
    **dict.fromkeys(_WRITTEN, "a column of this name is written beside it"),
}
"""Names that no kept column may have, and why.

TRL chooses how it reads a dataset by the first of these that it finds (``text`` even steals the end of sequence of
``prompt`` and ``completion``, ``image`` makes it a dataset of pictures), transformers' trainer keeps columns that are
named as arguments of the model, and its collators rename ``label`` and ``label_ids`` to ``labels``.
"""
Found: TypeAlias = "pa.Schema | Mapping[str, Kind]"
"""The columns of one shard that are no source or target: their types, or of JSON the kinds of their values."""


@dataclass(frozen=True)
class Kept:
    """The columns that are kept.

    Attributes:
        features: name -> `datasets` feature.
        schema: name -> Arrow type, in the order of the features.
        as_json: of JSON input, the columns whose values are of several kinds: their JSON text is kept.
    """

    features: Mapping[str, Any] = field(default_factory=dict)
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    as_json: frozenset[str] = frozenset()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.schema.names)

    def of(self, batch: pa.RecordBatch, shard: str) -> pa.RecordBatch:
        """These columns of a batch, null where it lacks one.

        Raises:
            InputError: a value can't be held with the type of its column in the other shards.
        """
        columns = []
        for kind in self.schema:
            at = batch.schema.get_field_index(kind.name)
            try:
                columns.append(pa.nulls(len(batch), kind.type) if at < 0 else as_type(batch.column(at), kind.type))
            except pa.ArrowException as error:
                problem = f"column {kind.name!r} can't be kept as {kind.type} ({error})"
                raise InputError(problem, shard=shard, remedy=_REMEDY.format("cast it")) from error
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


NOTHING_KEPT = Kept()
_REMEDY = "{}, or keep no other columns than source and target (--drop-columns)"


def kept_columns(shards: Iterable[tuple[str, Found]]) -> Kept:
    """The columns that all shards keep, each with the one type that holds its values in all of them.

    They are null where a shard lacks one. Cells of CSV and TSV are text; values of JSON have the type that holds all of
    theirs, or else are kept as JSON text. Names that trainers take for something else, such as ``text`` or ``images``,
    are refused.

    Args:
        shards: name of each, and its columns that are no source or target.

    Raises:
        InputError: a name is reserved or given twice, or a type can't be stored or differs between shards.
    """
    kinds: dict[str, Kind] = {}
    first: dict[str, str] = {}  # column -> the shard that has it first
    schemas: dict[pa.Schema, str] = {}
    for shard, found in shards:
        names = found.names if isinstance(found, pa.Schema) else list(found)
        for name in names:
            if name not in first:
                _require_keepable(name, shard)
                first[name] = shard
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"has several columns called {twice!r}", shard=shard, remedy=_REMEDY.format("rename one"))
        if isinstance(found, pa.Schema):
            schemas.setdefault(found, shard)
        else:
            for name, kind in found.items():
                kinds[name] = merged(kinds[name], kind) if name in kinds else kind
    if kinds:
        of_json = pa.schema([(name, arrow_type(kind)) for name, kind in kinds.items()])
        schemas.setdefault(of_json, next(first[name] for name in kinds))
    features = _one_feature_each(first, schemas)
    if not features:
        return NOTHING_KEPT
    as_json = frozenset(name for name, kind in kinds.items() if kind == JSON)
    return Kept(features, _arrow_schema(features), as_json)


def _require_keepable(name: str, shard: str) -> None:
    if name in RESERVED:
        problem = f"column {name!r} can't be kept: {RESERVED[name]}"
        raise InputError(problem, shard=shard, remedy=_REMEDY.format("rename it"))
    if fault := fault_of_name(name):
        problem = f"the name of column {name[:40]!r} {fault}"
        raise InputError(problem, shard=shard, remedy=_REMEDY.format("rename it"))


def _one_feature_each(first: Mapping[str, str], schemas: Mapping[pa.Schema, str]) -> dict[str, Any]:
    """Column -> feature, in the order of ``first``; of schemas and the first shard that has each."""
    from datasets import Features

    features: dict[str, Any] = {}
    there: dict[str, str] = {}
    for schema, shard in schemas.items():
        for name, feature in Features.from_arrow_schema(_storable_schema(schema, shard)).items():
            known = features.setdefault(name, feature)
            if known != feature:
                features[name] = _common(name, {there[name]: known, shard: feature})
            if features[name] != known or name not in there:
                there[name] = shard
    return {name: features[name] for name in first}


def _common(name: str, of: Mapping[str, Any]) -> Any:
    """The feature that holds the values of both shards."""
    from datasets import Features

    types = {shard: _arrow_schema({name: feature}).field(name).type for shard, feature in of.items()}
    try:
        both = pa.unify_schemas([pa.schema([(name, kind)]) for kind in types.values()], promote_options="permissive")
    except pa.ArrowException:
        shown = " and ".join(f"{kind} in {shard}" for shard, kind in types.items())
        raise InputError(f"column {name!r} is {shown}", remedy=_REMEDY.format("give it one type")) from None
    return Features.from_arrow_schema(both)[name]


def _arrow_schema(features: Mapping[str, Any]) -> pa.Schema:
    from datasets import Features

    return Features(dict(features)).arrow_schema.remove_metadata()


def _storable_schema(schema: pa.Schema, shard: str) -> pa.Schema:
    from datasets.features.features import generate_from_arrow_type

    fields = []
    for column in schema:
        stored = _storable(column.type)
        try:
            generate_from_arrow_type(stored)
        except (ValueError, TypeError, KeyError):
            problem = f"column {column.name!r} is of type {column.type}, which datasets can't hold"
            raise InputError(problem, shard=shard, remedy=_REMEDY.format("cast it")) from None
        fields.append(pa.field(column.name, stored))
    return pa.schema(fields, metadata=schema.metadata)


def _storable(kind: pa.DataType) -> pa.DataType:
    """The type that `datasets` stores such values with: the same, but for those it does not know."""
    if isinstance(kind, pa.BaseExtensionType):
        known = kind.extension_name.startswith("datasets.") or type(kind).__module__.startswith("datasets.")
        known |= kind.extension_name == "arrow.json" and _holds_json()
        return kind if known else _storable(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _storable(kind.value_type)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_map(kind):
        return pa.list_(pa.struct([("key", _storable(kind.key_type)), ("value", _storable(kind.item_type))]))
    if pa.types.is_struct(kind):
        return pa.struct([(part.name, _storable(part.type)) for part in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_storable(kind.value_type), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(_storable(kind.value_type))
    if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(_storable(kind.value_type))
    return kind


def _holds_json() -> bool:
    """Whether this version of `datasets` has values of JSON, each of a type of its own; else their text is kept."""
    import datasets

    return hasattr(datasets.features, "Json")


def as_type(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array with another type that holds the same values."""
    if array.type == kind:
        return array
    if isinstance(array, pa.ExtensionArray):
        return as_type(array.storage, kind)
    if pa.types.is_run_end_encoded(array.type):
        return as_type(pc.run_end_decode(array), kind)
    if isinstance(array, pa.ListViewArray | pa.LargeListViewArray):  # casting would lose rows of these
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
        array = pa.LargeListArray.from_arrays(offsets, array.flatten(), mask=array.is_null())
    return decoded(array).cast(kind)
