"""The schema for editors agrees with what validates."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML
from study_mistakes import STUDIES, mistakes

from sweep.study.json_schema import json_schema


def test_the_schema_for_editors_is_the_one_of_the_models() -> None:
    schema = json.loads((STUDIES / "study.schema.json").read_text())
    assert schema == json_schema(), "run: sweep schema > studies/study.schema.json"
    jsonschema.Draft7Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"costs": {"lookup_ns": 3}, "machine": {"page_size": 16384}}, True),
        ({"colour": 3}, False),
        ({"policy": None}, False),
        ({"machine": {"tag_block_size": "4GB"}}, False),
        ({"parameters": {"evictoin": {"type": "categorical", "choices": ["lru"]}}}, False),
        ({"objectives": [{"metric": "time_saved", "direction": "maximize"}]}, False),
    ],
)
def test_the_schema_takes_what_validates_and_refuses_what_does_not(
    change: dict[str, Any], fits: bool
) -> None:
    data = YAML(typ="safe", pure=True).load((STUDIES / "quickstart.yaml").read_text()) | change
    assert jsonschema.Draft7Validator(json_schema()).is_valid(data) == fits
    assert (mistakes(json.dumps(data)) == []) == fits
