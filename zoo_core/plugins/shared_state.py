"""What all code of a process shares, row by row: how to see it, and how to put it back.

torch and numpy are looked at only where they are loaded.
"""

from __future__ import annotations

import builtins
import gc
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from zoo_core.humanize import some

# what is noted at the end of its own import, where a plugin is the first to import it
LATE = ("numpy", "torch", "socket", "multiprocessing")

Loaded = Callable[[str], bool]  # whether a module is there as a whole
Told = Callable[[Any, Any], str]  # of what was there before, and what is there now


def _equal(before: Any, now: Any) -> bool:
    return bool(before == now)


def _from_to(before: Any, now: Any) -> str:
    return f"from {before} to {now}"


def _silent(before: Any, now: Any) -> str:
    return ""


def _keys(before: Mapping[Any, Any], now: Mapping[Any, Any]) -> str:
    """The names of what differs between two tables."""
    names = [key for key in {**before, **now} if before.get(key, gc) != now.get(key, gc)]
    return some([str(getattr(key, "name", key)) for key in names])


class Shared(NamedTuple):
    """One thing that all code shares. `put` gives it back the value that `get` had returned."""

    what: str
    get: Callable[[], Any]
    put: Callable[[Any], object]
    told: Told = _silent
    same: Callable[[Any, Any], bool] = _equal


# --- the process ---------------------------------------------------------------------------------


def _umask() -> int:
    mask = os.umask(0o077)  # it can be read only by setting it
    os.umask(mask)
    return mask


def _environment() -> dict[str, str]:
    own = ("TORCH", "TRITON_", "KMP_")  # timm's import sets TORCHINDUCTOR_CACHE_DIR, as an example
    return {key: value for key, value in os.environ.items() if not key.startswith(own)}


def _set_environment(before: dict[str, str]) -> None:
    for key in _environment().keys() - before.keys():
        del os.environ[key]
    for key, value in before.items():
        if os.environ.get(key) != value:
            os.environ[key] = value


def _signals() -> dict[signal.Signals, Any]:
    return {number: signal.getsignal(number) for number in signal.Signals}


def _set_signals(before: dict[signal.Signals, Any]) -> None:
    if threading.current_thread() is threading.main_thread():  # no other thread may
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _alarm() -> bool:
    return hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _set_path(before: list[str]) -> None:
    """What was added comes last, where it hides no module of others."""
    sys.path[:] = [*before, *(path for path in sys.path if path not in before)]


def _starts_with(before: Sequence[str], now: Sequence[str]) -> bool:
    return now[: len(before)] == before


_HOOKS = ("stdin", "stdout", "stderr", "excepthook", "displayhook")


def _hooks() -> dict[str, Any]:
    return {name: getattr(sys, name) for name in _HOOKS}


def _set_hooks(before: dict[str, Any]) -> None:
    for name, value in before.items():
        setattr(sys, name, value)


def _same_builtins(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return all(now.get(name) is value for name, value in before.items())


def _filters() -> list[Any]:
    return list(warnings.filters)


def _same_filters(before: list[Any], now: list[Any]) -> bool:
    """Whether no filter came or went that is about all warnings: numpy adds narrow ones."""
    return [f for f in before if _is_broad(f)] == [f for f in now if _is_broad(f)]


def _is_broad(entry: Any) -> bool:
    _, message, category, module, _ = entry
    return message is None and module is None and category.__module__ == "builtins"


def _set_filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]
    with warnings.catch_warnings():  # which tells Python that they are others now
        pass


_NEW_LOGGER: tuple[int, bool, bool, list[logging.Handler]] = (logging.NOTSET, False, True, [])


def _logging() -> dict[str, Any]:
    loggers = [logging.root, *_own_loggers()]
    told = {log.name: (log.level, log.disabled, log.propagate, [*log.handlers]) for log in loggers}
    return {**told, "disable()": logging.root.manager.disable}


def _own_loggers() -> list[logging.Logger]:
    known = logging.root.manager.loggerDict.items()
    own = [log for name, log in known if name.partition(".")[0] == "zoo_core"]
    return [log for log in own if isinstance(log, logging.Logger)]


def _set_logging(before: dict[str, Any]) -> None:
    logging.disable(before["disable()"])
    for log in (logging.root, *_own_loggers()):
        level, log.disabled, log.propagate, log.handlers[:] = before.get(log.name, _NEW_LOGGER)
        log.setLevel(level)


def _changed_loggers(before: dict[str, Any], now: dict[str, Any]) -> str:
    return some([name for name in now if now[name] != before.get(name, _NEW_LOGGER)])


def _same_logging(before: dict[str, Any], now: dict[str, Any]) -> bool:
    return not _changed_loggers(before, now)


def _process(loaded: Loaded) -> Iterator[Shared]:
    yield Shared("the working folder", os.getcwd, os.chdir, _from_to)
    yield Shared("the umask", _umask, os.umask, lambda a, b: f"from {a:#o} to {b:#o}")
    yield Shared("environment variables", _environment, _set_environment, _keys)
    yield Shared("signal handlers", _signals, _set_signals, _keys)
    if hasattr(signal, "setitimer"):
        yield Shared("the alarm clock", _alarm, lambda _: signal.setitimer(signal.ITIMER_REAL, 0))
    yield Shared("sys.path", lambda: [*sys.path], _set_path, _silent, _starts_with)
    yield Shared("streams and hooks of sys", _hooks, _set_hooks, _keys)
    yield Shared(
        "built-in functions",
        lambda: {**vars(builtins)},
        vars(builtins).update,
        lambda before, now: some([name for name in before if now.get(name) is not before[name]]),
        _same_builtins,
    )
    yield Shared("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, _from_to)
    yield Shared("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable())
    yield Shared("the seed of random", random.getstate, random.setstate)
    yield Shared("the filters of warnings", _filters, _set_filters, _silent, _same_filters)
    yield Shared("logging", _logging, _set_logging, _changed_loggers, _same_logging)
    every = locale.LC_ALL
    yield Shared(
        "the locale",
        lambda: locale.setlocale(every),
        lambda name: locale.setlocale(every, name),
    )
    if loaded("socket"):
        net = sys.modules["socket"]
        get, put = net.getdefaulttimeout, net.setdefaulttimeout
        yield Shared("the timeout of sockets", get, put, _from_to)
    if loaded("multiprocessing"):
        many = sys.modules["multiprocessing"]
        yield Shared(
            "how processes are started",
            lambda: many.get_start_method(allow_none=True),
            lambda method: many.set_start_method(method, force=True),
            _from_to,
        )


# --- numpy and torch, where they are loaded ------------------------------------------------------


def _numpy() -> Iterator[Shared]:
    numpy: Any = sys.modules["numpy"]

    def state() -> tuple:
        kind, keys, *rest = numpy.random.get_state()
        return (kind, keys.tobytes(), *rest)

    def set_state(before: tuple) -> None:
        kind, keys, *rest = before
        numpy.random.set_state((kind, numpy.frombuffer(keys, dtype="uint32"), *rest))

    yield Shared("the seed of numpy", state, set_state)
    yield Shared("numpy.seterr", numpy.geterr, lambda was: numpy.seterr(**was), _keys)


def _torch_seed() -> Iterator[Shared]:
    torch: Any = sys.modules["torch"]

    def set_state(before: list[int]) -> None:
        torch.set_rng_state(torch.tensor(before, dtype=torch.uint8, device="cpu"))

    yield Shared("the seed of torch", lambda: torch.get_rng_state().tolist(), set_state)


def _torch() -> Iterator[Shared]:
    torch: Any = sys.modules["torch"]
    cudnn = torch.backends.cudnn

    def device() -> Any:  # get_default_device() is also that of a `with torch.device(...)`
        context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
        return context.device if context else None

    def deterministic() -> tuple[bool, bool]:
        algorithms = torch.are_deterministic_algorithms_enabled()
        return algorithms, torch.is_deterministic_algorithms_warn_only_enabled()

    def set_deterministic(was: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(was[0], warn_only=was[1])

    def setting(place: Any, name: str, what: str) -> Shared:
        set_it = lambda value: setattr(place, name, value)  # noqa: E731
        return Shared(what, lambda: getattr(place, name), set_it, _from_to)

    rows = (
        ("default dtype", torch.get_default_dtype, torch.set_default_dtype),
        ("default device", device, torch.set_default_device),
        ("grad mode", torch.is_grad_enabled, torch.set_grad_enabled),
        ("number of threads", torch.get_num_threads, torch.set_num_threads),
        ("deterministic algorithms", deterministic, set_deterministic),
        (
            "precision of matmul",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        ("anomaly mode", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    )
    for what, get, put in rows:
        yield Shared(f"torch's {what}", get, put, _from_to)
    for name in ("enabled", "benchmark", "deterministic"):
        yield setting(cudnn, name, f"torch.backends.cudnn.{name}")


def everything(loaded: Loaded) -> Iterator[Shared]:
    """All that is looked at; `loaded`: of which modules."""
    yield from _process(loaded)
    if loaded("numpy"):
        yield from _numpy()
    if loaded("torch"):
        yield from _torch()
        yield from _torch_seed()


def settings_of_torch(loaded: Loaded) -> Iterator[Shared]:
    """What the building of a model must leave as it is; random numbers it may draw."""
    if loaded("torch"):
        yield from _torch()
