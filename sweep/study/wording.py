"""The wording of mistakes: pydantic's errors in the words of a study, and what was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from sweep.study.yaml_source import Mistake, Place, name_of

#: The keys of each section of a study. The study's own keys are under "", those of a searched
#: parameter under its type.
Fields = Mapping[str, list[str]]

#: Keys whose values are written as sizes.
_SIZES = ("page_size", "data_memory", "tag_block_size", "zram_size", "swap_size", "readahead_size")
#: What the key type of a searched parameter may be.
_TYPES = ("categorical", "int", "float")
#: The message for each kind of error that pydantic has.
_WORDING = {
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "list_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
    "model_attributes_type": "should be a mapping",
    "greater_than_equal": "should be at least {ge}",
    "greater_than": "should be above {gt}",
    "less_than_equal": "should be at most {le}",
    "less_than": "should be below {lt}",
    "too_short": "should have an entry or more",
    "string_too_short": "should not be empty",
    "string_too_long": "should have at most {max_length} characters",
    "string_pattern_mismatch": "should be of letters, digits, '.', '_' and '-', and begin with a "
    "letter or a digit",
}


def explain(problem: Any, fields: Fields) -> Mistake:
    """Return one of pydantic's errors as a mistake of the study.

    Parameters
    ----------
    problem
        An entry of `ValidationError.errors()`.
    fields
        The keys of each section, of which one may have been meant.
    """
    place: Place = tuple(problem["loc"])
    kind, given, context = problem["type"], problem.get("input"), problem.get("ctx", {})
    name = name_of(place)
    if kind == "extra_forbidden":
        what = _unknown_key(place, fields)
        if len(place) == 1 and isinstance(given, dict | list) and "; expected" in what:
            what += "; a key that only holds anchors begins with x-"
        return Mistake(place, what, about_key=True)
    if kind == "missing":
        return Mistake(place[:-1], f"key {name} is missing")
    if kind == "union_tag_not_found":
        return Mistake(place, f"{name}: key type is missing{suggest('', _TYPES)}")
    if kind == "union_tag_invalid":
        word = given.get("type") if isinstance(given, dict) else given
        hint = suggest(str(word), _TYPES)
        return Mistake((*place, "type"), f"unknown type {_quote(word)}{hint}")
    if kind in ("enum", "literal_error"):
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return Mistake(place, f"{name} cannot be {_quote(given)}{suggest(str(given), words)}")
    if kind == "value_error":
        error = str(context.get("error"))
        return Mistake(place, error if name in error else f"{name}: {error}")
    if "choices" in place[3:-2]:
        # Pydantic gives one error for each type that a choice may have.
        place = place[: place.index("choices", 3) + 2]
        return Mistake(place, f"{name_of(place)} should be text or a number, not {_quote(given)}")
    context = {key: f"{x:g}" if isinstance(x, float) else x for key, x in context.items()}
    what = _WORDING[kind].format(**context) if kind in _WORDING else str(problem["msg"])
    if kind == "int_type" and name in _SIZES:
        what = "should be a size such as 4KiB"
    return Mistake(place, f"{name} {what}{_hint(place, what, given, fields)}, not {_quote(given)}")


def _hint(place: Place, what: str, given: Any, fields: Fields) -> str:
    """Return what follows a message that ends in `what`: an example, keys, or a unit."""
    if what.endswith("mapping"):
        if place[0] != "parameters":
            return f" with the keys {', '.join(_fields_at((*place, ''), fields))}"
        example = "{type: categorical, choices: […]}"
        return f" such as {example if len(place) > 1 else '{eviction: ' + example + '}'}"
    if what.endswith("whole number") and "tag_block_size" in place:
        return " of bytes"
    if what.endswith("text") and isinstance(given, bool | int | float):
        return " (in quotes)"
    return ""


def _unknown_key(place: Place, fields: Fields) -> str:
    key = str(place[-1])
    homes = [section or "the study itself" for section in fields if key in fields[section]]
    homes = [home for home in homes if home not in _TYPES]
    if homes:
        return f"unknown key {key}; it is a key of {', '.join(homes)}"
    return f"unknown key {key or repr(key)}{suggest(key, _fields_at(place, fields))}"


def _fields_at(place: Place, fields: Fields) -> list[str]:
    """Return the keys that may stand at `place`, whose last part is such a key."""
    section = str(place[0]) if len(place) > 1 else ""
    if section == "policies" and len(place) > 3:
        # Each of the policies has the sections policy and parameters, as a study without them has.
        return _fields_at(place[2:], fields)
    if section == "parameters" and len(place) > 2:
        section = str(place[2])
    return fields.get(section, [])


def _quote(value: object) -> str:
    """Return a value of the study as JSON, cut to 60 characters."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of `words` that `word` was meant to be; None if none is near it."""
    known = {name.lower(): name for name in words}
    plain = word.lower().replace("-", "_")
    near = [name for name in known if len(plain) > 2 and name.startswith(plain)]
    near += get_close_matches(plain, known, n=1, cutoff=0.6)
    return known[near[0]] if near else None


def suggest(word: str, words: Iterable[str]) -> str:
    """Return ``, did you mean X?`` when one of `words` is near `word`, else a list of them all."""
    known = list(words)
    near = nearest(word, known)
    if near is not None:
        return f", did you mean {near}?"
    expected = "expected one of" if len(known) > 1 else "expected"
    return f"; {expected} {', '.join(known)}" if known else ""
