"""The commands that hand results on and hold them against a replay: bundle, run and verify."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from core.errors import InputError
from sweep.cli.answer import answer_of, show
from sweep.cli.study_commands import STUDY_SUFFIXES, run_file
from sweep.cli.terminal import ReplayProgress, note, print_json, print_table
from sweep.engine.bundle import SUFFIX, check_output, write_bundle
from sweep.engine.inputs import load_inputs
from sweep.engine.manifest import FILES, ROWS, Manifest
from sweep.engine.plugins import modules_beside
from sweep.engine.recorded import (
    Recorded,
    check_events,
    recorded_by_file,
    recorded_by_name,
    row_of_study,
)
from sweep.engine.register import StartAfresh, versions_now
from sweep.engine.study_run import Where
from sweep.engine.unpack import BundleError, bring_absent, unpack
from sweep.engine.verify import (
    OfSimulator,
    differences_by_simulator,
    evaluated,
    known_in,
    recorded_trials,
    replayed,
    sample,
)
from sweep.results import MODEL_VERSION, Difference, Row, Rows, read_row_files
from sweep.results.questions import another_version
from sweep.results.reading import told_contradictions
from sweep.study.yaml_source import read_source

#: A difference is shown in a table: a list of 64 numbers is cut.
_SHOWN_CHARACTERS = 60


class Unpacked(NamedTuple):
    """A bundle that is unpacked: its manifest, its study, and the rows that it holds."""

    manifest: Manifest
    study_file: Path
    rows: Rows


def bundle_command(
    study: str, database: Path, output: Path, folder: Path | None, with_traces: bool, as_json: bool
) -> None:
    """Write a study, its files and its rows as one tar.

    Parameters
    ----------
    study
        Its name or its file.
    database
        The results database.
    output
        The tar that is written.
    folder
        Where the files of a study given by its name are; by default in the current folder.
    with_traces
        Whether the traces are in it, or only their digests.
    as_json
        Whether what is in it is printed as JSON.

    Raises
    ------
    InputError
        When a file of the study is not there, or is another one than when the study was run.
    """
    with told_contradictions(database):
        check_output(output, database)
        recorded = _recorded(study, database, folder)
        inputs = load_inputs(recorded.study, recorded.source)
        told = check_events(recorded, inputs)
        if told:
            note(told)
        manifest = write_bundle(recorded, database, inputs, output, with_traces)
        size_bytes = output.stat().st_size
        if as_json:
            print_json({"path": str(output), "bytes": size_bytes} | manifest.model_dump())
            return
        absent = f", {len(manifest.absent)} left out by digest" if manifest.absent else ""
        held = sum(entry.included for entry in manifest.files.values()) - len(manifest.rows)
        print(
            f"{output}: study {manifest.study}, {held} files{absent}, "
            f"{manifest.rows['trials']:,} rows of trials, {size_bytes / 1e6:.1f} MB"
        )


def run_bundle_command(
    bundle: Path,
    database: Path,
    where: Where,
    afresh: StartAfresh,
    folder: Path | None,
    trusted: bool,
    as_json: bool,
) -> bool:
    """Run the study of a bundle, show its answer, and say whether its rows are those of the bundle.

    Parameters
    ----------
    bundle
        The tar.
    database, where, afresh, as_json
        As for `run_command`.
    folder
        Where files that the bundle leaves out are looked for, beside the folder of the bundle.
    trusted
        Whether code that the study names may be imported.

    Returns
    -------
    bool
        Whether a trial failed, or differs though the simulator is the same.
    """
    with _unpacked(bundle, folder, trusted) as unpacked:
        stored = evaluated(recorded_trials(unpacked.rows))
        known = known_in(database, stored)
        study = run_file(unpacked.study_file, database, where, afresh)
        digest = row_of_study(Rows(database, study.study))["core_digest"]
        same_model = unpacked.manifest.model_version == MODEL_VERSION
        found = differences_by_simulator(
            Rows(database, study.study), unpacked.rows, stored, digest, same_model, True
        )
        beside = {"bundle": [_as_row(each) for each in found], "known_before": known}
        answered = answer_of(study, study.study, database, max(5, len(study.subspaces)))
        if as_json:
            print_json(answered.as_json | beside)
        else:
            show(study, study.study, answered, as_json)
            model = None if same_model else another_version(unpacked.manifest.model_version)
            _print_found(str(bundle), unpacked.manifest.versions, found, digest, model)
            if known:
                print(f"{known} of them were in {database} before, and were not replayed now.")
    return answered.has_failed or _has_failed(found)


def verify_command(
    study: str,
    database: Path,
    folder: Path | None,
    sampled: str,
    seed: int,
    trusted: bool,
    as_json: bool,
) -> bool:
    """Replay recorded trials, and say whether every value is the one that is stored.

    Parameters
    ----------
    study
        Its name or its file; or a bundle, whose own rows are then verified.
    database
        The results database.
    folder
        Where the files of a study given by its name are, or those that a bundle leaves out.
    sampled
        How many trials are replayed: ``1%`` or ``20``.
    seed
        Of the choice of these trials.
    trusted
        Whether code that the study names may be imported.
    as_json
        Whether what is found is printed as JSON.

    Returns
    -------
    bool
        Whether a value differs though the simulator is the one that stored it.
    """
    if Path(study).suffix == SUFFIX:
        with _unpacked(Path(study), folder, trusted) as unpacked:
            rows = unpacked.rows
            with told_contradictions(Path(study)):
                recorded = recorded_by_name(*rows, unpacked.study_file.parent)
            return _verify(recorded, rows, sampled, seed, trusted, as_json)
    with told_contradictions(database):
        recorded = _recorded(study, database, folder)
    return _verify(recorded, Rows(database, recorded.name), sampled, seed, trusted, as_json)


def _verify(
    recorded: Recorded, rows: Rows, sampled: str, seed: int, trusted: bool, as_json: bool
) -> bool:
    # A database holds the study as it was stored, by whoever made the database.
    modules = modules_beside(recorded.source)
    if modules and not trusted:
        raise InputError(
            f"study {recorded.name} imports {', '.join(modules)}, as its database says: read that "
            "code, and add --trust-code to run it",
            file=rows.database,
        )
    with told_contradictions(rows.database):
        versions = dict(json.loads(recorded.row["versions"] or "{}"))
    everything = recorded_trials(rows)
    usable = evaluated(everything)
    if not usable:
        raise InputError(
            f"study {recorded.name} has no trial with outcomes yet", file=rows.database
        )
    chosen = sample(usable, _size_of_sample(sampled, len(usable)), seed)
    progress = ReplayProgress(recorded.name, len(chosen))
    try:
        with replayed(recorded, chosen, progress.finished, note) as (made, digest, untried):
            bad = {(each.role, each.number) for each in untried}
            tried = [row for row in chosen if (row["role"], row["number"]) not in bad]
            found = differences_by_simulator(rows, made, tried, digest)
    finally:
        progress.close()
    if as_json:
        print_json(
            {
                "study": recorded.name,
                "replayed": len(chosen),
                "trials": len(usable),
                "without_outcomes": len(everything) - len(usable),
                "cannot_be_tried": [each._asdict() for each in untried],
                "simulators": [_as_row(each) for each in found],
            }
        )
    else:
        part = f"{len(chosen)} of {len(usable)} trials and baselines replayed"
        print(f"study {recorded.name}: {part}, in this process")
        _print_found(recorded.name, versions, found, digest)
        if untried:
            _print_differences(untried, "Rows that say nothing that could be tried")
        if len(everything) > len(usable):
            left = len(everything) - len(usable)
            print(f"{left} trials that failed have no outcomes, and were not replayed.")
    ours = {(row["role"], row["number"]) for row in chosen if row["core_digest"] == digest}
    return bool(bad & ours) or _has_failed(found)


def _recorded(study: str, database: Path, folder: Path | None) -> Recorded:
    path = Path(study)
    if path.suffix not in STUDY_SUFFIXES:
        return recorded_by_name(database, study, folder or Path())
    if folder is not None:
        what = f"{study} is a file, whose traces are beside it: give the name of the study"
        raise InputError(f"--folder: {what}")
    return recorded_by_file(database, path)


@contextmanager
def _unpacked(bundle: Path, folder: Path | None, trusted: bool) -> Iterator[Unpacked]:
    """Unpack a bundle to a folder that is gone afterwards, with a database of its rows."""
    with TemporaryDirectory(prefix="sweep-bundle-") as name:
        place = Path(name)
        manifest = unpack(bundle, place)
        for path in bring_absent(bundle, place, manifest, _looked_in(bundle, folder)):
            note(f"{bundle}: {path} has the digest of a file that the bundle leaves out")
        note(f"{bundle} is unpacked to {place}, until this command ends")
        study_file = place / manifest.study_file
        modules = modules_beside(read_source(study_file))
        if modules and not trusted:
            files = [member for member in manifest.files if member.endswith(".py")]
            held = ", ".join(file.removeprefix(f"{FILES}/") for file in files) or "no code"
            raise BundleError(
                f"its study imports {', '.join(modules)}, code of whoever made the bundle (it "
                f"holds {held}): read it, and add --trust-code to run it",
                file=bundle,
            )
        rows = Rows(place / "bundle.duckdb", manifest.study)
        read_row_files(*rows, place / ROWS)
        # What was checked above is the study in the file, and what is replayed that of the rows.
        if row_of_study(rows)["yaml"].encode() != study_file.read_bytes():
            raise BundleError("its rows are of another study than its study.yaml", file=bundle)
        yield Unpacked(manifest, study_file, rows)


def _looked_in(bundle: Path, folder: Path | None) -> list[Path]:
    return [*([folder] if folder else []), bundle.parent]


def _size_of_sample(sampled: str, total: int) -> int:
    """Return how many of `total` trials ``1%`` or ``20`` is, one at least."""
    said = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", sampled.strip(), re.ASCII)
    value = float(said[1]) if said else 0.0
    if said and said[2] and 0 < value <= 100:
        return max(1, round(total * value / 100))
    if said and not said[2] and value >= 1 and value.is_integer():
        return int(value)
    what = f"--sample: {sampled!r} is neither a share, such as 1%, nor a number of trials"
    raise InputError(what, meant="100%")


def _has_failed(found: Sequence[OfSimulator]) -> bool:
    return any(each.same and each.differences.different for each in found)


def _as_row(each: OfSimulator) -> Row:
    differences = each.differences
    first = [difference._asdict() for difference in differences.first]
    most = (
        dict(zip(("share", "column"), differences.most, strict=True)) if differences.most else None
    )
    about = {"core_digest": each.core_digest, "same_simulator": each.same}
    return about | differences._asdict() | {"most": most, "first": first}


def _print_found(
    name: str,
    versions: dict[str, str],
    found: Sequence[OfSimulator],
    digest: str,
    model: str | None = None,
) -> None:
    """Print a line for each simulator that made some of the rows, and the first differences.

    Parameters
    ----------
    name
        Of what was compared.
    versions
        Of the packages that the rows were stored with.
    found
        What was found.
    digest
        The digest of the simulator that replayed them.
    model
        The version of the model that stored them, in words, if it is another one.
    """
    for each in found:
        differences = each.differences
        of = f"{differences.different:,} of {differences.values:,}"
        most = ""
        if differences.most is not None:
            share, column = differences.most
            most = f", at most by {100 * share:.3g} % ({column})"
        if not each.same:
            simulator = f"another version of the simulator ({each.core_digest}; this is {digest})"
            print(
                f"{name}: {model or simulator}: {of} outcomes of {differences.trials} trials and "
                f"baselines differ{most}"
            )
        elif not differences.different:
            print(
                f"{name}: equal in all {differences.trials} trials and baselines "
                f"({differences.values:,} values)"
            )
        else:
            print(
                f"{name}: {differences.different_trials} of {differences.trials} trials and "
                f"baselines differ, under the same simulator: {of} values{most}"
            )
            _print_differences(differences.first, "The first differences")
            for line in _other_versions(versions):
                print(line)


def _print_differences(differences: Sequence[Difference], title: str) -> None:
    rows = [
        {
            "trial": f"{each.role} {each.number}" if each.role else "-",
            "scenario": each.scenario,
            "workload": each.workload,
            "column": f"{each.table}.{each.column}",
            "stored": _short(each.stored),
            "replayed": _short(each.replayed),
        }
        for each in differences
    ]
    print_table(rows, title)


def _short(text: str | None) -> str:
    if text is None:
        return "NULL"
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _other_versions(versions: dict[str, str]) -> Iterator[str]:
    """Yield which packages have another version than when the rows were stored."""
    now = versions_now()
    for package in versions.keys() & now.keys():
        if versions[package] != now[package]:
            yield f"{package} was {versions[package]}, and is {now[package]}"
