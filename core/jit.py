"""The decorators that compile the hot loops, and the folder where compiled code is kept.

Numba does not notice an edit in a file that a cached kernel calls into, so the cache folder carries
the digest of every source file of this package: another source, another folder. It carries a digest
of what compiles as well. Machines of several kinds may share a home, and two of them that save the
same function at once would leave one's machine code under the name of the other's.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial, update_wrapper
from pathlib import Path
from threading import RLock
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from core.cache_folder import cache_folder
from core.kept_code import KeptCode, kept

Kernel = TypeVar("Kernel", bound=Callable[..., object])

#: Whether all is plain Python, as Numba's own switch says.
PLAIN = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def _source_digest() -> str:
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _compiler_digest() -> str:
    """Return the digest of what compiles, and what it compiles for."""
    import numba
    from numba.core.registry import cpu_target

    machine = cpu_target.target_context.codegen().magic_tuple()
    told = (numba.__version__, sys.version, machine)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:8]


#: Digest of the simulator's source; stored with every result.
CORE_DIGEST: str = _source_digest()

#: Where tables of events are kept: one folder, and one bound, for every version of the simulator.
KEPT_FOLDER = cache_folder("events")


@cache
def code_folder() -> Path:
    """Return the folder where machine code is kept."""
    return cache_folder(f"{CORE_DIGEST}-{_compiler_digest()}")


@cache
def _numba() -> Any:
    """Return Numba, which is imported when something is first compiled or loaded.

    To import it, and declare all kernels to it, takes 0.15 s, and a study with nothing to do needs
    none of them.
    """
    import numba
    from numba.extending import lower_builtin, type_callable
    from numba.np import linalg

    # No kernel multiplies matrices. Else Numba imports scipy.linalg: another 0.1 s.
    linalg.ensure_blas = _without_blas
    type_callable(apart)(_type_apart)
    cast(Any, lower_builtin)(apart)(_lower_apart)
    return numba


def _without_blas() -> None:
    raise ImportError


_LOCK = RLock()


class _Later:
    """A function that Numba is told of when it is first called, or met in another one.

    Parameters
    ----------
    function
        The function.
    tell
        Tells Numba of it, and returns what Numba has for it.
    is_entry
        Whether Python calls what Numba has, and not the function.
    """

    def __init__(
        self, function: Callable[..., Any], tell: Callable[..., Any], is_entry: bool = False
    ) -> None:
        update_wrapper(self, function)
        self._function, self._tell, self._is_entry = function, tell, is_entry
        self._told: Any = None

    @property
    def _numba_type_(self) -> Any:
        """What Numba asks an object that it meets."""
        from numba.core.registry import cpu_target

        return cpu_target.typing_context.resolve_value_type(self.compiled)

    @property
    def compiled(self) -> Any:
        """What Numba has for the function: one thing, whichever thread is the first to ask."""
        if self._told is None:
            with _LOCK:
                if self._told is None:
                    self._told = self._tell(self._function)
        return self._told

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns."""
        return self.compiled(*arguments) if self._is_entry else self._function(*arguments)


@contextmanager
def at_compiling(begins: Callable[[], None], ends: Callable[[], None]) -> Iterator[None]:
    """Call `begins` and `ends` around what is compiled, rather than read from disk.

    A function that calls others compiles them: the calls are around the first of them all.
    """
    if PLAIN:
        yield
        return
    _numba()
    from numba.core.event import Listener, install_listener

    class Told(Listener):
        depth = 0  # Numba compiles in one thread at a time

        def on_start(self, event: Any) -> None:
            self.depth += 1
            if self.depth == 1:
                begins()

        def on_end(self, event: Any) -> None:
            self.depth -= 1
            if self.depth == 0:
                ends()

    with install_listener("numba:compile", Told()):
        yield


def kernel(function: Kernel) -> Kernel:
    """Compile a function that other kernels call; it is cached as a part of its caller.

    It is inlined by LLVM, and Numba counts no references in it: arrays are borrowed from the
    caller, so it cannot make one (lru on a capture of databases with 338,900 events: 35 M events/s
    without either, 50 without reference counts, 110 with both).
    """
    return function if PLAIN else cast(Kernel, _Later(function, partial(_inner, inlined=True)))


def entry(function: Kernel) -> Kernel:
    """Compile a function that Python calls, and keep its machine code on disk."""
    return function if PLAIN else cast(Kernel, _Later(function, _entry, is_entry=True))


def _entry(function: Callable[..., Any]) -> Any:
    dispatcher = _numba().njit(nogil=True, no_cfunc_wrapper=True)(function)
    with suppress(OSError):  # a function that was typed in has no file, and is not kept
        dispatcher._cache = KeptCode(function, code_folder())
    return dispatcher


def loop(function: Kernel) -> Kernel:
    """Compile a function that an entry calls once: like `kernel`, but not inlined.

    LLVM then optimises the body once, not again in everything around it (7.3 s against 5 for the
    loop over lanes of lru).
    """
    # Else a loop that is first met in a kernel would inherit that it is inlined.
    return function if PLAIN else cast(Kernel, _Later(function, partial(_inner, inlined=False)))


def not_on_disk(names: Iterable[str]) -> list[str]:
    """Return which entries of `entry_calling` have no machine code on disk; none in plain Python.

    It takes 0.3 ms an entry to look, and 8 ms to load one.
    """
    if PLAIN:
        return []
    wanted = list(names)
    on_disk = kept(wanted, __name__, code_folder())
    return [name for name in wanted if name not in on_disk]


def _template(*arguments: Any) -> Any:
    return _called(*arguments)  # type: ignore[name-defined]  # noqa: F821  # each copy's own


def entry_calling(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return an entry called `name` that hands its arguments to a loop made by a factory.

    Numba keeps no function on disk that was handed other functions, so a plain one stands around
    each such loop: a copy of one template, under a name of its own, over globals that hold the
    loop. A second process then finds each on disk.
    """
    own: dict[str, Any] = {"_called": function, "__name__": __name__}
    copy = FunctionType(_template.__code__, own, name)
    copy.__qualname__ = name
    copy.__module__ = __name__
    return entry(copy)


def _inner(function: Callable[..., Any], inlined: bool) -> Any:
    """Let kernels call a function, which is compiled for numbers: not once more for each constant.

    Numba makes two wrappers for every function that it compiles, one for Python and one for C. Here
    it makes none (what the quickstart needs compiles in 30 s of CPU time in place of 42), so that
    what Python calls of them is plain Python.
    """
    options: dict[str, Any] = {"nogil": True, "forceinline": inlined, "_nrt": False}
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    dispatcher: Any = _numba().njit(**options)(function)
    number, ask = _numba().types.unliteral, dispatcher.get_call_template
    dispatcher.get_call_template = lambda args, kws: ask(
        tuple(number(argument) for argument in args), {name: number(kws[name]) for name in kws}
    )
    dispatcher.add_overload = lambda compiled: dispatcher.overloads.__setitem__(
        tuple(compiled.signature.args), compiled
    )
    return dispatcher


def naming(suffix: str) -> Callable[[Kernel], Kernel]:
    """Return a decorator that puts `suffix` into the symbol names of the kernels a factory makes.

    Numba names machine code by the function's name and a number that counts within one process.
    Two kernels of one name, compiled and kept on disk by two processes, can get one symbol, and
    a third process that loads both then runs one of them in place of the other.
    """

    def name(function: Kernel) -> Kernel:
        function.__qualname__ = f"{function.__name__}_{suffix}"
        return function

    return name


def apart() -> None:
    """Do nothing; LLVM, which inlines what it likes, keeps a loop apart that calls this first.

    Such a loop has several callers. Else the front end's chain of calls is compiled once for every
    way through it.
    """


def _type_apart(context: Any) -> Any:
    return lambda: _numba().types.void


def _lower_apart(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    builder.function.attributes.add("noinline")
    return context.get_dummy_value()


@kernel
def wide(value: int | np.integer[Any]) -> int:
    """Return a number as 64 bits with a sign: one type means that each kernel is compiled once.

    Numba's ``int()`` keeps 32 bits, and makes floats where unsigned and signed numbers meet.
    """
    return np.int64(value)  # type: ignore[return-value]
