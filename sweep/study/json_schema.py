"""The JSON Schema of a study, with which editors complete and check its file."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from core.cost_presets import COST_PRESETS
from sweep.study.model import Study
from sweep.study.searchable import SEARCHABLE
from sweep.study.worlds import WORLD_FIELDS


class _Draft7(GenerateJsonSchema):
    schema_dialect = "http://json-schema.org/draft-07/schema#"

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema without null: a key may be left out, but one that is there has a value.

        So ``seed: ~`` is refused in an editor, as it is by the checks.
        """
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of a key with its default, unless that is None."""
        content = super().default_schema(schema)
        default = content.pop("default", None)
        if isinstance(default, dict):
            default = {key: value for key, value in default.items() if value is not None}
        return content if default is None else {**content, "default": default}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of a study."""
    schema = Study.model_json_schema(ref_template="#/definitions/{model}", schema_generator=_Draft7)
    schema["definitions"] = schema.pop("$defs")
    # One workload may stand without a list around it.
    workload = {"$ref": "#/definitions/Workload"}
    workloads = schema["properties"]["workload"]
    schema["properties"]["workload"] = {"anyOf": [workload, workloads], "title": "Workload"}
    for section in (schema, schema["definitions"]["Subspace"]):
        section["properties"]["parameters"]["propertyNames"] = {"enum": list(SEARCHABLE)}
    schema["properties"]["scenarios"] |= _scenarios()
    # The name of a preset may stand in the place of costs.
    presets = {"type": "string", "enum": list(COST_PRESETS)}
    schema["properties"]["costs"] = {"anyOf": [{"$ref": "#/definitions/CostFields"}, presets]}
    return {"$schema": _Draft7.schema_dialect, **schema}


def _scenarios() -> dict[str, Any]:
    """Return the schema of scenarios: a grid of worlds, or a list of named ones."""
    value = {"type": ["string", "number"]}
    names = {"enum": list(WORLD_FIELDS)}
    axis = {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}
    entry = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "propertyNames": {"enum": ["name", *WORLD_FIELDS]},
        "additionalProperties": value,
    }
    grid = {"type": "object", "propertyNames": names, "additionalProperties": axis}
    return {"anyOf": [grid, {"type": "array", "items": entry, "minItems": 1}]}
