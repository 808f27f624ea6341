"""The command `explain`, behind its options: what it shows of a name, or of all names."""

from __future__ import annotations

from sweep.cli.terminal import print_json
from sweep.results.column_meanings import column_entries
from sweep.study.glossary import explained, glossary, names_by_kind


def explain_command(name: str | None, as_json: bool) -> None:
    """Show what a name means, or which names there are.

    Parameters
    ----------
    name
        A name of a study or a column of the database; None for a list of all.
    as_json
        Whether it is printed as JSON.

    Raises
    ------
    InputError
        When there is no such name.
    """
    entries = [*glossary(), *column_entries()]
    if name is None:
        names = names_by_kind(entries)
        if as_json:
            print_json(names)
        else:
            print("\n".join(f"{kind}: {', '.join(of)}" for kind, of in names.items()))
        return
    found = explained(name, entries)
    if as_json:
        print_json([entry.as_json() for entry in found])
    else:
        print("\n\n".join(entry.as_text() for entry in found))
