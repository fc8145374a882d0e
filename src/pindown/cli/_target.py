"""``my_module.py:make_subject``: load a user's module and call the function in it."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar, cast

from pindown.errors import InputError, PindownError

if TYPE_CHECKING:
    from pindown.landscapes.cnf import CNF
    from pindown.landscapes.problem import SearchProblem
    from pindown.network.subject import Subject
    from pindown.resources.convergence import Problem
    from pindown.resources.families import Family
    from pindown.studies.study_subject import StudySubject

__all__ = [
    "DEFAULT_FUNCTION",
    "PROBLEM_NAME",
    "STUDY_FUNCTION",
    "load_environment",
    "load_family",
    "load_problem",
    "load_study",
    "load_subject",
    "split_target",
    "target_modules",
]

T = TypeVar("T")

DEFAULT_FUNCTION, STUDY_FUNCTION, PROBLEM_NAME = "make_subject", "make_study", "problem"


def split_target(target: str, default: str = DEFAULT_FUNCTION) -> tuple[Path, str]:
    """Path and function of a target; the function is ``make_subject``, or another ``default``, where none is named.

    >>> [str(part) for part in split_target("models/small.py:build")]
    ['models/small.py', 'build']
    >>> split_target("small.py")[1]
    'make_subject'
    """
    path, colon, function = target.rpartition(":")
    if not colon or not function.isidentifier():
        return Path(target), default
    return Path(path), function


def load_subject(target: str) -> Subject:
    """Import the module that ``target`` names, call its function, and hand back the subject that it makes.

    Raises:
        InputError: where there is no such file or function, where either raises (the place is told), or where what
            comes back is no ``Subject``.
    """
    from pindown.network.subject import Subject

    made, what = _made(target, DEFAULT_FUNCTION, "a pindown.Subject")
    if not isinstance(made, Subject):
        raise InputError(f"{what} returned {type(made).__name__}", "a pindown.Subject")
    return made


def load_study(target: str) -> StudySubject:
    """The same for a study: the function is ``make_study`` where none is named.

    Raises:
        InputError: as above, where what comes back is no ``StudySubject``.
    """
    from pindown.studies.study_subject import StudySubject

    made, what = _made(target, STUDY_FUNCTION, "a pindown.StudySubject")
    if not isinstance(made, StudySubject):
        raise InputError(f"{what} returned {type(made).__name__}", "a pindown.StudySubject")
    return made


def load_problem(target: str) -> SearchProblem | CNF:
    """The search problem that a module holds under the target's name, ``problem`` by default, or that a function makes.

    Raises:
        InputError: as above, where there is no such thing or it is no ``SearchProblem`` and no ``CNF``.
    """
    from pindown.landscapes.cnf import CNF
    from pindown.landscapes.problem import SearchProblem

    return _named(target, (SearchProblem, CNF), "a pindown.SearchProblem or a pindown.CNF")


def load_environment(target: str) -> Problem:
    """The environment that a module holds under the target's name, ``problem`` by default, or that a function makes.

    Raises:
        InputError: as above, where it is neither a programme nor an economy, an MDP or a chain.
    """
    from pindown.resources.chain import Chain
    from pindown.resources.convex_program import ConvexProgram
    from pindown.resources.economy import Economy
    from pindown.resources.linear_program import LinearProgram
    from pindown.resources.mdp import MDP

    kinds: tuple[type[Problem], ...] = (LinearProgram, ConvexProgram, Economy, MDP, Chain)
    return _named(target, kinds, f"a pindown.{', '.join(k.__name__ for k in kinds[:-1])} or {kinds[-1].__name__}")


def load_family(target: str) -> Family:
    """The prior over objectives that a module holds under the target's name.

    Raises:
        InputError: as above, where it is no ``Family``.
    """
    from pindown.resources.families import Family

    return _named(target, (Family,), "a pindown.resources.families.Family", default="family")


def _named(target: str, kinds: tuple[type[T], ...], wanted: str, default: str = PROBLEM_NAME) -> T:
    """What a module holds under a name, of one of some kinds, or what the function of that name makes."""
    path, name = split_target(target, default)
    if not path.is_file():
        raise InputError(f"no file at {path}", f"a Python file, as in my_module.py:{default}", "check the path")
    loaded = sys.modules.get(path.stem)
    again = loaded is not None and Path(str(getattr(loaded, "__file__", ""))).resolve() == path.resolve()
    found: object = getattr(loaded if again else _import(path), name, None)
    if found is None:
        raise InputError(f"{path} has nothing named {name!r}", wanted, "name it behind a colon")
    if callable(found) and not isinstance(found, kinds):
        try:
            found = found()
        except PindownError:
            raise
        except Exception as error:
            raise _raised(f"{name}() in {path}", path, error) from error
    if not isinstance(found, kinds):
        raise InputError(f"{name} in {path} is a {type(found).__name__}", wanted)
    return cast("T", found)  # callables among the kinds confuse the checker


def target_modules(target: str | None) -> list[ModuleType]:
    """The module of a target that was loaded, for those who work elsewhere; none where there is no target."""
    module = None if target is None else sys.modules.get(split_target(target)[0].stem)
    return [] if module is None else [module]


def _made(target: str, default: str, kind: str) -> tuple[object, str]:
    """What the target's function returns, and the function in words."""
    path, function = split_target(target, default)
    if not path.is_file():
        raise InputError(f"no file at {path}", f"a Python file, as in my_module.py:{default}", "check the path")
    module = _import(path)
    make = getattr(module, function, None)
    if not callable(make):
        names = sorted(n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == path.stem)
        raise InputError(
            f"{path} has no function {function!r}",
            f"a function without arguments that returns {kind}",
            f"functions found: {', '.join(names) or 'none'}",
        )
    what = f"{function}() in {path}"
    try:
        return make(), what
    except PindownError:
        raise
    except Exception as error:
        raise _raised(what, path, error) from error


def _import(path: Path) -> ModuleType:
    """Import a file under its own name, with its folder on the path so that it finds its neighbours.

    A file that is loaded already runs again, since it may have changed. Another file of its name is refused: worker
    processes find a module by its name, and would find the first one.
    """
    loaded = sys.modules.get(path.stem)
    file = getattr(loaded, "__file__", None)
    if loaded is not None and (file is None or Path(file).resolve() != path.resolve()):
        raise InputError(
            f"a module named {path.stem!r} is loaded already, from {file or 'Python itself'}",
            "a name of its own",
            f"rename {path}",
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be imported", "a Python file whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules[path.stem] = module  # worker processes find it by this name
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[path.stem]  # half a module must not be found by anybody
        if isinstance(error, PindownError) or not isinstance(error, Exception):
            raise
        raise _raised(f"importing {path}", path, error) from error
    return module


def _raised(what: str, path: Path, error: Exception) -> InputError:
    """The user's own error in one sentence, with the last line of their file that led to it."""
    if isinstance(error, SyntaxError):
        line = error.lineno
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == path.resolve()]
        line = frames[-1].lineno if frames else None
    place = f" at line {line}" if line else ""
    return InputError(f"{what} raised {type(error).__name__}{place}: {error}")
