"""The report as JSON: a versioned schema, written in full and read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfunlearn.reading import parse_json
from tfunlearn.report import reading
from tfunlearn.report.evidence import Evidence
from tfunlearn.report.parts import Column, ModelFile, Row

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["NAME", "VERSION", "dumps", "loads"]

NAME = "tfunlearn.audit-report"
VERSION = 2

_KEYS: dict[str, type | tuple[type, ...]] = {
    "title": str,
    "created": str,
    "environment": dict,
    "split": dict,
    "original": (str, type(None)),
    "references": list,
    "columns": list,
    "rows": list,
    "notes": list,
    "histogram_edges": list,
    "reference_values": dict,
    "reference_seeds": list,
    "evidence": dict,
    "fingerprints": dict,
    "command": str,
    "files": dict,
}
_DERIVED = {"schema", "version", "reference"}
_SPLIT_KEYS: dict[str, type | tuple[type, ...]] = {
    "kind": str,
    "num_classes": int,
    "sizes": dict,
    "fractions": dict,
    "class_counts": dict,
    "fingerprint": str,
}
_ROW_KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "values": dict,
    "flags": list,
    "histograms": dict,
}
_ROW_DERIVED = {"gaps", "average_gap"}
_ROW_TYPES: dict[str, Any] = {
    "values": Mapping[str, float | None],
    "flags": tuple[str, ...],
    "histograms": Mapping[str, tuple[int, ...]],
}
_COLUMN_KEYS: dict[str, type | tuple[type, ...]] = dict.fromkeys(
    ("name", "label", "unit", "direction", "group"), str
)


_TYPES: dict[str, Any] = {
    "references": tuple[str, ...],
    "notes": tuple[str, ...],
    "histogram_edges": tuple[float, ...],
    "reference_values": Mapping[str, tuple[float, ...]],
    "reference_seeds": tuple[int, ...],
    "evidence": Mapping[str, Evidence],
    "fingerprints": Mapping[str, str],
    "files": Mapping[str, ModelFile],
}


def dumps(report: AuditReport) -> str:
    """Returns the report as JSON text, the gaps and the references' spread written out beside it.

    `gaps`, `average_gap` and `reference` are for readers of the file; `loads` computes them anew.
    What the text holds is written down in `schema.json`, a JSON schema (draft 2020-12).
    """
    metrics = [column.name for column in report.columns]
    spreads = {metric: report.reference(metric) for metric in metrics}
    data = {
        "schema": NAME,
        "version": VERSION,
        **{key: getattr(report, key) for key in _KEYS},
        "environment": dict(report.environment),
        "split": dict(report.split),
        "reference_values": {key: list(own) for key, own in report.reference_values.items()},
        "evidence": {name: _evidence(own) for name, own in report.evidence.items()},
        "fingerprints": dict(report.fingerprints),
        "files": {name: asdict(file) for name, file in report.files.items()},
        "columns": [asdict(column) for column in report.columns],
        "rows": [
            {
                "name": row.name,
                "values": dict(row.values),
                "gaps": {metric: report.gap(row.name, metric) for metric in metrics},
                "average_gap": report.average_gap(row.name),
                "flags": list(row.flags),
                "histograms": {role: list(counts) for role, counts in row.histograms.items()},
            }
            for row in report.rows
        ],
        "reference": {key: spread and asdict(spread) for key, spread in spreads.items()},
    }
    return json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _evidence(evidence: Evidence) -> dict[str, Any]:
    """Returns evidence as JSON values; an example that has no image has no key for it."""
    data = asdict(evidence)
    for example in data["worst"]:
        if example["image"] is None:
            del example["image"]
    return data


def loads(text: str | bytes, source: str = "the text") -> dict[str, Any]:
    """Returns the fields of the report in a JSON text.

    Args:
        text: What `dumps` returned.
        source: Where the text comes from, for the error messages.

    Raises:
        ValueError: If it is not complete JSON, of another schema version, lacks a key, holds an
            unknown one, or holds a value of another type.
    """
    try:
        data = parse_json(text, "the text")
    except ValueError as error:
        raise ValueError(
            f"{source} must be a report that AuditReport.save wrote. Expected complete JSON. "
            f"Received another text: {error}"
        ) from error
    if not isinstance(data, dict) or data.get("schema") != NAME:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise ValueError(
            f"{source} must be an audit report. Expected schema {NAME!r}. Received {found!r}."
        )
    if data.get("version") != VERSION:
        raise ValueError(
            f"{source} must have the schema version of this package. Expected {VERSION}. "
            f"Received {data.get('version')!r}."
        )
    data = {"files": {}, **data}  # a report on models from no files may be without
    fields = _fields(data, _KEYS, source)
    unknown = sorted(set(data) - set(_KEYS) - _DERIVED)
    if unknown:
        raise ValueError(
            f"{source} must hold the schema's keys only. Expected {list(_KEYS)}. "
            f"Received {unknown} besides."
        )
    _fields(fields["split"], _SPLIT_KEYS, f"{source}: split")
    columns = [
        Column(**_fields(entry, _COLUMN_KEYS, f"{source}: columns[{place}]"))
        for place, entry in enumerate(fields["columns"])
    ]
    rows = [_row(entry, f"{source}: rows[{place}]") for place, entry in enumerate(fields["rows"])]
    return {
        **fields,
        **{key: reading.values(_TYPES[key], fields[key], f"{source}: {key}") for key in _TYPES},
        "columns": tuple(columns),
        "rows": tuple(rows),
    }


def _row(entry: Any, where: str) -> Row:
    fields = _fields(entry, _ROW_KEYS, where)
    for metric, value in fields["values"].items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{where}: {metric} must be a number or null. Received {value!r}.")
    unknown = sorted(set(entry) - set(_ROW_KEYS) - _ROW_DERIVED)
    if unknown:
        raise ValueError(f"{where} must hold the schema's keys only. Received {unknown} besides.")
    found = {
        key: reading.values(kind, fields[key], f"{where}.{key}") for key, kind in _ROW_TYPES.items()
    }
    return Row(fields["name"], **found)


def _fields(data: Any, keys: dict[str, type | tuple[type, ...]], where: str) -> dict[str, Any]:
    """Returns the named keys of an object, each checked for its type."""
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object. Received {type(data).__name__}.")
    missing = [key for key in keys if key not in data]
    if missing:
        raise ValueError(
            f"{where} lacks keys. Expected {list(keys)}. Received an object without {missing}."
        )
    for key, kind in keys.items():
        if not isinstance(data[key], kind):
            raise ValueError(
                f"{where}: {key} has another type than the schema's. Expected {kind}. "
                f"Received {type(data[key]).__name__}."
            )
    return {key: data[key] for key in keys}
