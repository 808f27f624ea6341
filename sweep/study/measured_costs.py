"""Costs that were measured: the file that `sweep trace costs -o` writes, as a study reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sweep.study.model import CostFields
from sweep.study.wording import explain, suggest
from sweep.study.yaml_source import Mistake, Section, Source, SourceError, read_source

#: Where a study names the file.
PLACE = ("costs", "measured")
#: The keys of the file itself, and of its costs.
_KEYS = {
    "": ["costs"],
    "costs": [name for name in CostFields.model_fields if name != "measured"],
}


def read_measured_costs(data: Section, folder: Path | None) -> tuple[Section, list[Mistake]]:
    """Return the costs in the file that a study names, and what is wrong with that file.

    Parameters
    ----------
    data
        The raw data of the study, in its long form.
    folder
        Where the file is looked for; None to leave it alone.
    """
    costs = data.get("costs")
    name = costs.get("measured") if isinstance(costs, dict) else None
    if folder is None or not isinstance(name, str) or not name:
        return {}, []
    path = folder / name
    if not path.is_file():
        names = sorted(other.name for other in path.parent.glob("*.y*ml"))
        what = "is no file" if path.exists() else "no such file"
        return {}, [Mistake(PLACE, f"{name}: {what}{suggest(path.name, names[:20])}")]
    try:
        source = read_source(path)
        return _costs_in(source), []
    except SourceError as error:
        return {}, [Mistake(PLACE, str(mistake)) for mistake in error.mistakes]


def _costs_in(source: Source) -> dict[str, Any]:
    """Return the costs in a file, checked.

    Raises
    ------
    SourceError
        With every mistake in it.
    """
    data = source.data
    if not isinstance(data, dict) or not isinstance(data.get("costs"), dict):
        what = (
            "measured costs are a mapping such as {costs: {preset: ufs_phone, read_random_ns: 9}}"
        )
        raise source.error([Mistake((), what)])
    mistakes = [
        Mistake((key,), f"unknown key {key}{suggest(key, _KEYS[''])}", about_key=True)
        for key in data
        if key != "costs"
    ]
    costs = data["costs"]
    if "measured" in costs:
        what = "a file of measured costs names no other one"
        mistakes.append(Mistake(PLACE, what, about_key=True))
    try:
        CostFields.model_validate(costs)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        problems = [problem | {"loc": ("costs", *problem["loc"])} for problem in problems]
        mistakes += [explain(problem, _KEYS) for problem in problems]
    if mistakes or source.mistakes:
        raise source.error(mistakes)
    return dict(costs)
