"""Studies that nobody would write: mutations of those of the project, and texts that are bombs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

from ruamel.yaml import YAML

from core.accesses import read_accesses, write_accesses
from core.event_files import read_events, write_events
from core.events import Events
from sweep.study.model import SECTION_KEYS
from sweep.study.worlds import WORLD_FIELDS

STUDIES = Path(__file__).parents[2] / "studies"
#: Rows of the shipped captures that a mutated study finds beside it, under their names.
_ROWS = 1500
#: What stands beside it that is no capture, by name.
HOSTILE_FILES = ("pipe", "folder", "loop", "text", "empty", "unreadable", "/dev/zero", "/dev/null")

# What may stand in the place of something else.
_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3, 64, 4096, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63),
    *(-(2**63), 10**18, 10**30, 0.0, -0.0, 0.5, 1.0, 1e-320, 1e308, -1e308, 1e16, float("nan")),
    *(float("inf"), -float("inf"), "", " ", "1e999", "4KiB", "4 GB", "1TiB", "999999999999999TiB"),
    *("8EiB", "10min", "1e9d", "0", "0x10", "0o17", "010", "1:30", "1_000", "yes", "no", "none"),
    *("2001-01-01", "..", "/", "a/b", "../../etc/passwd", "x" * 10_000, "a\nb", "a\x1b[31mb"),
    *("a\u202eb", "é\u2028\ud83d\ude00", "rewrite.duckdb", "con", "-", "os:system", "no.such:NAME"),
    *("grid", "random", "cmaes", "tpe", "nsga2", "carveout", "cleancache", "zswap", "tmem"),
    *("migrate_cma", "lru", "int", "float", "categorical", "minimize", [], {}, [[]], [None]),
    *([1, "x"], [1, 1], [float("nan")] * 2, {"a": 1}, {"type": "int", "low": 0, "high": 10**18}),
    *({"type": "int", "low": 5, "high": 1, "step": 0}, {"type": "float", "low": 0, "high": 0.5}),
    *({"type": "float", "low": -1e308, "high": 1e308}, {"name": "a", "swappiness": 60}),
    *({"type": "float", "low": 0, "high": 1, "step": 1e-300}, {"preset": "gcma"}, *HOSTILE_FILES),
    *({"type": "categorical", "choices": list(range(300))}, {"synthetic": "zipf"}),
    *({"type": "int", "low": 1, "high": 10**15, "log": True}, {"name": "b", "read_random_ns": 9}),
]
_KEYS: list[str] = sorted(
    {key for keys in SECTION_KEYS.values() for key in keys} | set(WORLD_FIELDS)
)
_SCRAPS = (
    *(
        "\t",
        ":",
        "- ",
        "[",
        "]",
        "{",
        "}",
        '"',
        "'",
        "*a",
        "&a ",
        "<<: *a",
        "\n",
        "\n  ",
        "\0",
        "!",
    ),
    *(
        "|",
        ">",
        "%",
        "%YAML 1.1\n",
        "? ",
        "# ",
        "\ufeff",
        "\x85",
        "\u2028",
        "\x1b",
        "---\n",
        "...\n",
    ),
    *(
        "!!python/object/apply:os.system [true]",
        "!!binary aaaa",
        "!!float x",
        "!!int 1",
        "!!set {a}",
    ),
    *("~", "1" * 5000, "0x" + "f" * 300, "1e400", ".inf", ".NaN", "\\ud800", '"\\ud800"', "🕱"),
    *('"\\U00110000"', '"\\UFFFFFFFF"', "%YAML 1.3\n---\n", f"%YAML 1.{'1' * 5000}\n---\n"),
)


def write_companions(folder: Path) -> None:
    """Write what mutated studies name: the beginnings of the shipped captures, and no captures."""
    (folder / "traces").mkdir()
    for path in sorted((STUDIES / "traces").glob("*.parquet")):
        target = folder / "traces" / path.name
        if path.name.endswith(".accesses.parquet"):
            write_accesses(target, _beginning(read_accesses(path)))
        else:
            write_events(target, _beginning(read_events(path)))
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "text").write_text("hello\n")
    (folder / "empty").write_bytes(b"")
    (folder / "unreadable").write_bytes(b"x")
    (folder / "unreadable").chmod(0)


def _beginning(table: Any) -> Any:
    columns = {name: column[:_ROWS] for name, column in table.columns.items()}
    about = {"checks": ()} if isinstance(table, Events) else {}
    return table._replace(**columns, **about)


def mutated_study(chance: Random) -> bytes:
    """Return a study that is mutated by chance, as the bytes of its file."""
    kinds: tuple[Callable[[Random], bytes], ...] = (_in_values, _in_text, _in_bytes, _bomb)
    (kind,) = chance.choices(kinds, weights=(12, 5, 2, 1))
    return kind(chance)


@cache
def _shipped() -> list[Any]:
    yaml = YAML(typ="safe", pure=True)
    return [yaml.load(path.read_text()) for path in sorted(STUDIES.glob("*.yaml"))]


def _any_study(chance: Random) -> Any:
    data = deepcopy(chance.choice(_shipped()))
    workloads = data["workload"] if isinstance(data["workload"], list) else [data["workload"]]
    for workload in workloads:
        if "synthetic" in workload:
            amount = {"app_launch": "launches", "build": "compiles"}
            workload[amount.get(workload["synthetic"], "asks")] = chance.choice((8, 2000))
    return data


def _changed(chance: Random) -> str:
    data = _any_study(chance)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
        _mutate(data, chance)
    if chance.random() < 0.7:
        return json.dumps(data, indent=1, ensure_ascii=False)  # YAML too, and quicker to write
    written = StringIO()
    YAML(typ="safe", pure=True).dump(data, written)
    return written.getvalue()


def _mutate(data: Any, chance: Random) -> None:
    """Change one thing somewhere in `data`: often what may stand there, at times anything."""
    at = data
    while (inner := [x for x in (at.values() if isinstance(at, dict) else at)
                     if isinstance(x, dict | list) and x]) and chance.random() < 0.7:  # fmt: skip
        at = chance.choice(inner)
    places = list(at) if isinstance(at, dict) else list(range(len(at)))
    value = json.loads(json.dumps(chance.choice(_VALUES)))
    if not places or chance.random() < 0.4:
        if isinstance(at, dict):
            at[chance.choice(_KEYS) if chance.random() < 0.9 else str(value)[:50]] = value
        else:
            at.extend([value] * chance.choice((1, 1, 2, 40)))
    elif chance.random() < 0.2:
        del at[chance.choice(places)]
    else:
        at[chance.choice(places)] = value


def _in_values(chance: Random) -> bytes:
    return _changed(chance).encode("utf-8", "surrogatepass")


def _in_text(chance: Random) -> bytes:
    text = _changed(chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        begin = chance.randrange(len(text) + 1)
        end = begin + chance.choice((0, 0, 1, 5, 40))
        text = text[:begin] + chance.choice(_SCRAPS) * chance.choice((1, 1, 1, 30)) + text[end:]
    return text.encode("utf-8", "surrogatepass")


def _in_bytes(chance: Random) -> bytes:
    content = bytearray(_changed(chance).encode("utf-8", "surrogatepass"))
    how = chance.randrange(4)
    if how == 0:
        encoding = chance.choice(("utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig", "cp037"))
        return bytes(content).decode("utf-8", "replace").encode(encoding, "replace")
    if how == 1:
        return bytes(content[: chance.randrange(len(content) + 1)])
    for _ in range(chance.choice((1, 3, 30))):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def _bomb(chance: Random) -> bytes:
    """Return a text that takes more time or memory than it should, from whoever is careless."""
    size = chance.choice((30, 100, 100, 1000, 1000, 10_000))
    bombs: tuple[Callable[[], str], ...] = (
        lambda: _aliases(chance.choice((3, 10)), chance.choice(("list", "merge"))),
        lambda: chance.choice(("[", "{a: ", "- ", "? ", "[{", '["')) * size,
        lambda: "study: " + chance.choice("x1é") * size * 100,
        lambda: "".join(f"k{i}: {i}\n" for i in range(size)),
        lambda: "".join(f"&a{i} k{i}: *a{max(0, i - 1)}\n" for i in range(size)),
        lambda: "n_trials: " + chance.choice(("1", "0x1", "1_", "1e", "-9", "0.")) * size,
        lambda: chance.choice(_SCRAPS) * size,
        lambda: "scenarios: {" + ", ".join(f"k{i}: [1, 2]" for i in range(size)) + "}",
        lambda: "workload: [" + "{synthetic: zipf}, " * size + "]",
        lambda: "baselines: [" + "{preset: gcma}, " * size + "]",
        lambda: "policies: [" + "{parameters: {headroom: {type: float}}}, " * size + "]",
    )
    text = chance.choice(bombs)()
    return (text if chance.random() < 0.5 else f"{_changed(chance)}{text}").encode()


def _aliases(width: int, how: str) -> str:
    begin, part = ("[", "*{}") if how == "list" else ("{<<: [", "*{}")
    end = "]" if how == "list" else "]}"
    first = "a0: &a0 " + ("[x, x]" if how == "list" else "{k: 1}")
    lines = [first]
    for i in range(1, 30):
        lines.append(f"a{i}: &a{i} {begin}{', '.join([part.format(f'a{i - 1}')] * width)}{end}")
    return "\n".join(lines)
