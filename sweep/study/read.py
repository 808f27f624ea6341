"""A study read from its file or text: every mistake in it is told at once."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sweep.study.check_scenarios import check_costs, check_form
from sweep.study.check_search import check_study
from sweep.study.measured_costs import read_measured_costs
from sweep.study.model import ANCHORS, SECTION_KEYS, MachineFields, Study
from sweep.study.pick import with_picked_sampler
from sweep.study.wording import explain
from sweep.study.yaml_source import Mistake, Section, Source, parse_source, read_source

#: Wrong values that are told at once.
MOST_EXPLAINED = 200


def load_study(path: Path) -> tuple[Study, Source]:
    """Return the study in a file, and the file's text with the places of what stands in it.

    Raises
    ------
    SourceError
        With every mistake in it, each by line and column.
    """
    source = read_source(path)
    return validate_source(source), source


def parse_study(text: str, path: Path) -> Study:
    """Return a study that was stored as `text`.

    Its files are not looked for, since they may be gone. What contradicts itself only for this
    version is no mistake: an earlier one may have run the study.

    Raises
    ------
    SourceError
        With every mistake in it, each by line and column; `path` is the file's name there.
    """
    return validate_source(parse_source(path, text), check_files=False)


def validate_source(source: Source, check_files: bool = True) -> Study:
    """Return the study in a parsed file.

    Parameters
    ----------
    source
        The file.
    check_files
        Whether to look beside the file for the traces, and check what machine they are of, and
        for measured costs; and whether to check that its parts do not contradict each other.

    Raises
    ------
    SourceError
        With every mistake in it, each by line and column.
    """
    if not isinstance(source.data, dict):
        keys = ", ".join(SECTION_KEYS[""])
        raise source.error([Mistake((), f"a study is a mapping with the keys {keys}")])
    data = _in_long_form(source.data)
    study, mistakes = _validate_values(data)
    folder = source.path.parent if check_files else None
    measured, wrong_in_file = read_measured_costs(data, folder)
    mistakes += wrong_in_file
    mistakes += (wrong_form := list(check_form(data)))
    if check_files and not wrong_form:
        mistakes += check_study(data, _valid_sizes(data.get("machine")), folder)
    if study is not None and measured:
        study = study.with_costs(measured)
    if study is not None and check_files and not mistakes:
        mistakes += check_costs(study, data)
    if study is None or mistakes or source.mistakes:
        raise source.error(mistakes)
    return with_picked_sampler(study)


def _in_long_form(data: Section) -> Section:
    """Return the data with what may be written in short written at length.

    One workload may stand without a list around it, the name of a preset in place of costs, and
    that of a sampler in its place. Keys of the study that begin with x- hold anchors, which are
    used elsewhere: they are left out.
    """
    data = {key: value for key, value in data.items() if not str(key).startswith(ANCHORS)}
    if isinstance(data.get("workload"), dict):
        data["workload"] = [data["workload"]]
    if isinstance(data.get("costs"), str):
        data["costs"] = {"preset": data["costs"]}
    if isinstance(data.get("sampler"), str):
        data["sampler"] = {"name": data["sampler"]}
    return data


def _validate_values(data: Section) -> tuple[Study | None, list[Mistake]]:
    """Return the study if each value in it is right by itself, and else what is wrong."""
    try:
        return Study.model_validate(data), []
    except ValidationError as error:
        problems = error.errors(include_url=False)[:MOST_EXPLAINED]
        return None, [explain(problem, SECTION_KEYS) for problem in problems]


def _valid_sizes(machine: Any) -> dict[str, int]:
    """Return the settings of a machine that are right by themselves; sizes are in bytes."""
    sizes: dict[str, int] = {}
    for name, raw in machine.items() if isinstance(machine, dict) else ():
        with suppress(ValidationError):
            fields = MachineFields.model_validate({name: raw})
            sizes |= fields.model_dump(exclude_none=True)
    return sizes
