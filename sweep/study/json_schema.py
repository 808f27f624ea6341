"""The JSON Schema of a study, with which editors complete and check its file."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from core.cost_presets import COST_PRESETS
from sweep.study.glossary import short_meaning, vocabularies
from sweep.study.model import ANCHORS, Study
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
    schema["properties"]["workload"] = {
        "anyOf": [workload, workloads],
        "title": "Workload",
        "description": workloads.pop("description"),
    }
    for section in (schema, schema["definitions"]["Subspace"]):
        _refer_to_searched(section["properties"]["parameters"], schema["definitions"])
    schema["properties"]["scenarios"] |= _scenarios()
    # The name of a preset may stand in the place of costs.
    costs = schema["properties"]["costs"]
    presets = {"type": "string", "enum": list(COST_PRESETS)}
    schema["properties"]["costs"] = {
        "anyOf": [{"$ref": "#/definitions/CostFields"}, presets],
        "description": costs["description"],
    }
    sampler = schema["properties"]["sampler"]
    names = schema["definitions"]["Sampler"]["properties"]["name"]
    schema["properties"]["sampler"] = {
        "anyOf": [{"$ref": "#/definitions/Sampler"}, {"type": "string", "enum": names["enum"]}],
        "description": sampler["description"],
    }
    schema["patternProperties"] = {f"^{ANCHORS}": {"description": "holds anchors alone"}}
    _describe_words(schema, {tuple(words): words for words in vocabularies()})
    return {"$schema": _Draft7.schema_dialect, **schema}


def _refer_to_searched(parameters: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Let a section of searched parameters refer to what can be searched, and what that is."""
    definitions["Parameter"] = parameters.pop("additionalProperties")
    parameter = {"allOf": [{"$ref": "#/definitions/Parameter"}]}
    definitions["Searched"] = {
        "properties": {
            name: {"description": short_meaning(name)} | parameter for name in SEARCHABLE
        },
        "propertyNames": {"enum": list(SEARCHABLE)},
    }
    parameters["allOf"] = [{"$ref": "#/definitions/Searched"}]


def _describe_words(part: Any, vocabularies: dict[tuple[str, ...], dict[str, str]]) -> None:
    """Add to each list of words what they mean, where Visual Studio Code and others look for it."""
    if isinstance(part, list):
        for item in part:
            _describe_words(item, vocabularies)
    if not isinstance(part, dict):
        return
    for item in part.values():
        _describe_words(item, vocabularies)
    words = part.get("enum")
    if isinstance(words, list) and tuple(words) in vocabularies:
        part["enumDescriptions"] = list(vocabularies[tuple(words)].values())


def _scenarios() -> dict[str, Any]:
    """Return the schema of scenarios: a grid of worlds, or a list of named ones."""
    value = {"type": ["string", "number"]}
    axis = {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}
    described = {name: {"description": short_meaning(name)} for name in WORLD_FIELDS}
    entry = {
        "type": "object",
        "properties": {"name": {"type": "string", "description": "the scenario's name"}}
        | {name: words | value for name, words in described.items()},
        "required": ["name"],
        "additionalProperties": False,
    }
    grid = {
        "type": "object",
        "properties": {name: words | axis for name, words in described.items()},
        "additionalProperties": False,
    }
    return {"anyOf": [grid, {"type": "array", "items": entry, "minItems": 1}]}
