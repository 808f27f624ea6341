"""The studies that come with the project, and those that its README shows, are good ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from study_mistakes import STUDIES, mistakes

from sweep.study.goals import goals_of
from sweep.study.read import load_study
from sweep.study.worlds import worlds_of

SHIPPED = sorted(STUDIES.glob("*.yaml"))
README = (STUDIES.parent / "README.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
#: What an example leaves to the rest of a study.
REST: dict[str, Any] = {
    "study": "rest",
    "workload": {"synthetic": "app_launch"},
    "objectives": [{"metric": "wait_saved_ratio", "direction": "maximize"}],
    "sampler": {"name": "grid"},
}
SEARCHED = {"eviction": {"type": "categorical", "choices": ["lru", "none"]}}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_study_is_good_and_bears_the_name_of_its_file(path: Path) -> None:
    study, _ = load_study(path)
    assert study.study == path.stem
    assert study.question.endswith("?")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_study_is_told_against_the_carve_out(path: Path) -> None:
    study, _ = load_study(path)
    assert "carveout" in [baseline.system for baseline in study.baselines]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_study_over_several_worlds_says_what_becomes_of_its_objectives(
    path: Path,
) -> None:
    study, _ = load_study(path)
    said = [
        objective.over for objective in study.objectives if "over" in objective.model_fields_set
    ]
    several = len(worlds_of(study)) > 1
    assert len(said) == (len(study.objectives) if several else 0)
    assert goals_of(study)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.split()[0])
def test_an_example_of_the_readme_is_of_a_good_study(text: str) -> None:
    shown = YAML(typ="safe", pure=True).load(
        text.replace("traces/msr.", "traces/launch-mglru-224w.accesses.")
    )
    searched = {} if "policies" in shown else {"parameters": SEARCHED}
    assert mistakes(json.dumps(REST | searched | shown)) == []


def test_the_readme_shows_how_worlds_are_varied() -> None:
    assert sum("scenarios:" in text for text in EXAMPLES) >= 3
