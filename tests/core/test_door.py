"""The public names of `core` and `sweep`: each is what it says, whatever has been imported."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from core import Policy

HEAVY = ("numba", "pyarrow", "pydantic", "optuna", "ray", "duckdb")

IMPORT_ALL = """
import importlib, pkgutil
from types import FunctionType, ModuleType
import core, sweep

packages = {"core": core, "sweep": sweep}
for top in (core, sweep):
    for module in pkgutil.walk_packages(top.__path__, top.__name__ + "."):
        if not module.name.endswith(".__main__"):
            packages[module.name] = importlib.import_module(module.name)
for name, package in packages.items():
    public = getattr(package, "__all__", [])
    assert len(set(public)) == len(public), f"{name}: a name twice"
    inner = {module.name for module in pkgutil.iter_modules(getattr(package, "__path__", []))}
    assert not inner & set(public), f"{name}: public names of modules {inner & set(public)}"
    for word in public:
        thing = getattr(package, word)
        assert not isinstance(thing, ModuleType), f"{name}.{word} is a module"
        if isinstance(thing, (type, FunctionType)):
            assert thing.__name__ == word, f"{name}.{word} is {thing.__name__}"
assert core.__all__ and sweep.__all__
for package in (core, sweep):
    assert set(package.__all__) <= set(dir(package))
print(len(packages))
"""


def run_fresh(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_public_names_are_what_they_say_once_every_module_is_imported() -> None:
    assert int(run_fresh(IMPORT_ALL)) > 100


def test_the_door_opens_without_anything_heavy() -> None:
    loaded = f"[name for name in {HEAVY} if name in sys.modules]"
    assert run_fresh(f"import sys, core, sweep; print({loaded})") == "[]"


@pytest.mark.parametrize(
    ("field", "value"),
    [("folio_order", 1.5), ("folio_order", "1"), ("headroom", True), ("seed", None), ("drop", 3)],
)
def test_a_policy_refuses_what_is_no_value_of_a_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"no (whole )?number|not a valid"):
        Policy(**{field: value})  # type: ignore[arg-type]


def test_numpy_numbers_are_numbers() -> None:
    assert Policy(folio_order=np.int64(3), headroom=np.float32(0.5)) == Policy(
        folio_order=3, headroom=0.5
    )
