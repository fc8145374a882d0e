"""An existing Ray or Dask cluster as the place where joblib runs what is independent."""

from __future__ import annotations

import platform
import socket
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

import joblib
from joblib.parallel import get_active_backend

from pindown.errors import InputError

__all__ = ["Cluster", "cluster", "configured_elsewhere"]

Backend = Literal["ray", "dask"]
_BACKENDS: tuple[Backend, ...] = ("ray", "dask")
_SECONDS = 15.0
_FIRST_TASK_SECONDS = 120.0  # a worker imports torch before it answers
_RAY = "pindown-ray"
# An actor that dies, with its machine or by itself, is started again and its work given out again.
_RESTARTED = {"max_restarts": -1, "max_task_retries": -1}
_ADDRESSES = {"ray": "host:6379, ray://host:10001 or auto", "dask": "tcp://host:8786"}


@dataclass(frozen=True)
class Cluster:
    """A cluster that joblib's work goes to.

    Attributes:
        backend: ``"ray"`` or ``"dask"``.
        address: where it answers.
        cores: tasks that it runs at once.
        hosts: its machines.
    """

    backend: Backend
    address: str
    cores: int
    hosts: tuple[str, ...]
    everywhere: Callable[[Callable[..., Any], tuple[Any, ...]], list[Any]]

    def shares(self, folder: str | Path) -> bool:
        """Whether the workers see the folder that this process sees, as on a shared file system.

        Only then can a run go on in the middle when its worker dies; elsewhere it starts again from its beginning.
        """
        there = Path(folder).absolute()
        parent = next(path for path in (there, *there.parents) if path.is_dir())
        with tempfile.NamedTemporaryFile(dir=parent, prefix=".pindown-") as token:
            return all(self.everywhere(_exists, (token.name,)))

    def __str__(self) -> str:
        machines = "1 machine" if len(self.hosts) == 1 else f"{len(self.hosts)} machines"
        return f"{self.backend} at {self.address}: {self.cores} tasks at once on {machines}"


def configured_elsewhere() -> bool:
    """Whether ``joblib.parallel_config`` names a number of jobs or another backend than joblib's own."""
    backend, jobs = get_active_backend()
    return type(backend).__name__ not in ("LokyBackend", "ThreadingBackend", "SequentialBackend") or (jobs or 1) != 1


@contextmanager
def cluster(backend: Backend, address: str, *, modules: Sequence[ModuleType] = ()) -> Generator[Cluster]:
    """Run what goes through joblib on a Ray or Dask cluster that exists, for as long as the context lasts.

    Each task is a function of its arguments and its seed, so that the figures are those of one process. A worker that
    dies is replaced and its tasks given out again; with a checkpoint folder that all workers share they go on from
    where they were.

    Args:
        backend: ``"ray"`` or ``"dask"``; needs ``pindown[ray]`` or ``pindown[dask]`` here and on the workers.
        address: Ray's ``host:6379``, ``ray://host:10001`` or ``auto``; Dask's scheduler, ``tcp://host:8786``.
        modules: files of yours that the workers have not got, such as the one that defines the model; sent to them.

    Raises:
        InputError: where the package is missing, nothing answers at the address, there are no workers, or they run
            another pindown, Python or torch.

    Example:
        >>> import pindown
        >>> with pindown.cluster("dask", "tcp://127.0.0.1:1"):  # doctest: +IGNORE_EXCEPTION_DETAIL
        ...     pass
        Traceback (most recent call last):
        InputError: ...
    """
    if backend not in _BACKENDS:
        raise InputError(f"backend {backend!r}", " or ".join(_BACKENDS))
    if not isinstance(address, str) or not address.strip():
        raise InputError(f"address {address!r}", _ADDRESSES[backend])
    packages = _packages(backend)
    if address != "auto" or backend == "dask":
        _answers(backend, address)
    opened = cast(AbstractContextManager[Cluster], (_ray if backend == "ray" else _dask)(address, packages, modules))
    with opened as found:
        yield found


def _packages(backend: Backend) -> ModuleType:
    """The backend's package, or what to install."""
    try:
        return import_module("ray" if backend == "ray" else "distributed")
    except ModuleNotFoundError as error:
        raise InputError(
            f"the backend {backend} without its package ({error})", f"pindown[{backend}]",
            f'install "pindown[{backend}]" here and on the workers',
        ) from error  # fmt: skip


def _answers(backend: Backend, address: str) -> None:
    """Refuse an address at which nothing listens: the packages' own waits are long and their messages longer."""
    scheme, _, rest = address.rpartition("://")
    if scheme not in ("", "tcp", "tls", "ray"):
        return  # the package knows it, or refuses it
    host, _, port = rest.rstrip("/").rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"address {address!r}", _ADDRESSES[backend])
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _silent(backend, address, error) from error


def _silent(backend: Backend, address: str, error: Exception) -> InputError:
    how = "ray start --head" if backend == "ray" else "dask scheduler"
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return InputError(
        f"no {backend} cluster answers at {address} ({first})", _ADDRESSES[backend],
        f"start one with {how}, check the address and the firewall, and that both sides have the same versions",
    )  # fmt: skip


@contextmanager
def _ray(address: str, ray: Any, modules: Sequence[ModuleType]) -> Generator[Cluster]:
    from joblib.pool import PicklingPool
    from ray.util.joblib.ray_backend import RayBackend  # pyright: ignore[reportMissingImports]

    class _Generating(RayBackend):  # pyright: ignore[reportUntypedBaseClass]
        # Its results come by callback, so that they can be handed over one by one; the parent, made for pools of
        # processes that fork, does not say so.
        supports_return_generator = True

        def terminate(self) -> None:
            # Closing asks each actor to end, which one that is always started again takes for a death.
            if self._pool is not None:
                self._pool._closed = True
                self._pool.terminate()
                self._pool = None

    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError, TimeoutError) as error:
            raise _silent("ray", address, error) from error
    bases = PicklingPool.__bases__  # Ray's backend puts its own pool there, for every later user of joblib
    try:
        nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= 1]

        def everywhere(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Any]:
            from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
                NodeAffinitySchedulingStrategy,
            )

            remote = ray.remote(function)
            asked = [
                remote.options(
                    num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(n["NodeID"], soft=False)
                ).remote(*arguments)
                for n in nodes
            ]
            return ray.get(asked, timeout=_FIRST_TASK_SECONDS)

        cores = int(sum(n["Resources"]["CPU"] for n in nodes))
        found = _checked("ray", address, cores, everywhere, (ray.exceptions.RayError,))
        joblib.register_parallel_backend(_RAY, _Generating)
        with (
            _sent(ray.cloudpickle, modules),
            joblib.parallel_config(_RAY, n_jobs=cores, ray_remote_args=_RESTARTED),
        ):
            yield found
    finally:
        PicklingPool.__bases__ = bases
        if ours:
            ray.shutdown()


@contextmanager
def _dask(address: str, distributed: Any, modules: Sequence[ModuleType]) -> Generator[Cluster]:
    try:
        client = distributed.Client(address, timeout=_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise _silent("dask", address, error) from error
    with client:

        def everywhere(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Any]:
            return list(client.run(function, *arguments).values())

        found = _checked("dask", address, sum(client.ncores().values()), everywhere, ())
        for module in modules:
            client.upload_file(str(module.__file__))  # its pickles name modules, where they can be named
        with joblib.parallel_config("dask", n_jobs=found.cores, client=client):
            yield found


def _checked(
    backend: Backend, address: str, cores: int, everywhere: Callable[..., list[Any]], errors: tuple[Any, ...]
) -> Cluster:
    """The cluster, once all of its workers have said that they run what runs here."""
    if cores < 1:
        raise InputError(f"{backend} at {address} has no workers", "at least one", "start workers, then try again")
    wanted = "the same versions of Python, torch and pindown here and on every worker"
    try:
        told: list[dict[str, str]] = everywhere(_about, ())
    except (ImportError, *errors) as error:
        raise InputError(f"the workers of {backend} cannot run pindown ({error})", wanted) from error
    here = _about()
    for there in told:
        odd = [k for k in ("python", "torch", "pindown") if there[k] != here[k]]
        if odd:
            found = ", ".join(f"{k} {there[k]} where this process has {here[k]}" for k in odd)
            raise InputError(f"{there['host']} has {found}", wanted)
    return Cluster(backend, address, cores, tuple(sorted({t["host"] for t in told})), everywhere)


@contextmanager
def _sent(pickler: Any, modules: Sequence[ModuleType]) -> Generator[None]:
    """Pickle what these modules define by value, for workers that cannot import them."""
    for module in modules:
        pickler.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            pickler.unregister_pickle_by_value(module)


def _about() -> dict[str, str]:
    """Of a worker: what has to be the same everywhere, and its machine."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": version("torch").partition("+")[0],
        "pindown": version("pindown"),
        "host": socket.gethostname(),
    }


def _exists(path: str) -> bool:
    return Path(path).exists()
