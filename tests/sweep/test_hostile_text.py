"""Text of a study, a trace or a database reaches a terminal as text, whatever it is made of."""

from __future__ import annotations

import io
import json
import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import small_study
from command_here import call
from commands import Said
from reported_studies import Elements

from core.errors import printable, shown_name
from core.event_files import read_events, write_events
from core.events import make_events
from core.import_losses import Loss
from sweep.cli.console import SafeConsole

#: Colours, a link, a title, a cleared screen in 7 and 8 bits, a return, an order that is turned,
#: what is not seen, and what is markup to rich.
HOSTILE = (
    "a\x1b[35;5mb\x1b]8;;http://evil\x07c\x1b]0;title\x07\x1b[2J\x9b2J\rd\x00\x7f\x08"
    "\u202ee\u2066f\u200bg\ufeffh\u2028i\u2029[red]j[/red][link=http://evil]k[/link]:smile:"
)
HARMLESS = "a" * len(HOSTILE)
#: What rich itself writes to a terminal: colours, the cursor, a line that is cleared.
_CODES = re.compile(r"\x1b\[(?!35;5m|2J)[0-9;?]*[A-Za-z]|\r")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a study, its trace and its results, before anything is hostile."""
    folder = tmp_path_factory.mktemp("text")
    small_study.write_trace(folder, 8000)
    path = small_study.write_study(folder, n_trials=6)
    path.write_text(path.read_text() + f"question: {json.dumps(HARMLESS)}\n")
    small_study.run(path, folder / "results.duckdb")
    return folder


def with_text(folder: Path, made: Path, text: str) -> Path:
    """Return a copy of the folder that holds a text wherever one can stand."""
    shutil.copytree(folder, made)
    with duckdb.connect(str(made / "results.duckdb")) as database:
        columns = database.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE data_type = 'VARCHAR' "
            "AND NOT internal AND table_name IN (SELECT table_name FROM duckdb_tables())"
        ).fetchall()
        assert len(columns) > 20
        for table, column in columns:
            # What a command needs to find its way is left.
            if column in ("study", "yaml", "identity", "versions", "asked", "role", "state"):
                continue
            database.execute(f'UPDATE "{table}" SET "{column}" = ?', [text])
        yaml = "yaml = replace(yaml, ?, ?)"
        quoted = [json.dumps(each)[1:-1] for each in (HARMLESS, text)]
        database.execute(f"UPDATE studies SET {yaml}", quoted)
    path = made / "small.yaml"
    path.write_text(path.read_text().replace(*quoted))
    events = read_events(made / "small.parquet")
    about = events.about | {"source": text, "losses": (Loss("lost_events", 3, text),)}
    write_events(made / "small.parquet", make_events(events.columns, **about))
    (made / file_name(text)).write_text("study: 1")
    return made


def file_name(text: str) -> str:
    return f"{text.replace(chr(0), '').replace('/', '')}.yaml"


def commands(text: str) -> Iterator[tuple[str, ...]]:
    file, asked = file_name(text), text.replace(chr(0), "")
    yield from (("status",), ("best", "small"), ("best", text), ("run", "small.yaml"))
    yield from (("validate", "small.yaml"), ("validate", file), ("validate", text), (text,))
    yield from (("query", text), ("query", "from studies"), ("query", "from studies", "--csv"))
    yield ("query", f"""select '{asked}' as "{asked}" """)
    yield from (("compare", "0", "1", "--study", "small"), ("compare", text, text))
    yield from (("trace", "info", "small.parquet"), ("trace", "info", file), ("explain", text))
    yield from (("trace", "import", file, "-o", "x.parquet"), ("merge", "x", text))
    yield from (("trace", "synthesise", text, "-o", "x.parquet"), ("run", "--workers", text))
    yield from (("run", "small.yaml", "--shard", text), ("bundle", "small", "-o", "x.tar"))


def said(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]
) -> Said:
    """Return what a command says to two streams."""
    out, err = stream(), stream()
    with monkeypatch.context() as here:
        here.setenv("TERM", "xterm-256color")
        here.delenv("NO_COLOR", raising=False)
        return call(words, out, err), out.getvalue(), err.getvalue()


def obeyed(text: str) -> set[str]:
    """Return the signs of a text that a terminal obeys, or that nobody sees."""
    return {sign for sign in text if sign != "\n" and printable(sign) != sign}


def test_no_hostile_text_is_obeyed_by_a_terminal(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(with_text(folder, tmp_path / "hostile", HOSTILE))
    written_out = 0
    for words in commands(HOSTILE):
        code, *texts = said(words, monkeypatch, io.StringIO)
        assert code in (0, 2), texts
        assert "--csv" in words or not obeyed("".join(texts)), words
        written_out += r"\x1b[35;5mb" in "".join(texts)
        if words[0] in ("explain", "bundle", "merge"):  # which print without colours
            continue
        _, *texts = said(words, monkeypatch, Terminal)
        assert not obeyed(_CODES.sub("", "".join(texts))), words
    assert written_out > 12


def test_a_report_shows_every_sign_that_nobody_would_see(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(with_text(folder, tmp_path / "hostile", HOSTILE))
    code, *texts = said(("report", "small", "-o", "small.html"), monkeypatch, io.StringIO)
    assert code == 0, texts
    page = Elements(Path("small.html").read_text(encoding="utf-8"))
    shown = "".join(
        f"{attributes}{json.loads(text) if attributes.get('id') == 'plots' else text}"
        for tag, attributes, text in page.elements
        if tag != "script" or attributes.get("id") == "plots"
    )
    assert shown.count(r"a\x1b[35;5mb") > 3
    assert not obeyed(shown)


def test_json_and_csv_keep_what_is_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(with_text(folder, tmp_path / "hostile", HOSTILE))
    _, out, _ = said(("query", "select question from studies", "--json"), monkeypatch, Terminal)
    assert out.isascii()
    assert not obeyed(out)
    assert json.loads(out) == [{"question": HOSTILE}]
    _, out, _ = said(("query", "select question from studies", "--csv"), monkeypatch, io.StringIO)
    assert HOSTILE in out


def test_every_sign_that_is_no_text_is_written_out() -> None:
    for sign in map(chr, (*range(0x3000), *range(0xF900, 0x10000), *range(0xE0000, 0xE0080))):
        unseen = unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp")
        assert (shown_name(sign) != sign) == unseen
    assert printable("a\n\tb") == "a\n\tb"


def test_a_bar_shows_a_name_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    from sweep.cli.terminal import note
    from sweep.cli.waiting import telling_of_progress

    with telling_of_progress(f"making {HOSTILE}", "accesses") as advance:
        advance(1, 2)
        note(HOSTILE)
        SafeConsole(stderr=True).print("done")
    shown = stream.getvalue()
    assert "[red]j" in shown
    assert "\x1b]" not in shown
    assert "\x1b[35;5m" not in shown
    assert not obeyed(_CODES.sub("", shown))
