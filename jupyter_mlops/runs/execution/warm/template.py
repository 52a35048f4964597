"""The template: a process that imports what runs need, starts none of it, and forks.

It is started by its path and uses the standard library alone, so that a kernel forked from it has imported
nothing but what it would import by itself. One thread, one loop: whoever forks beside threads forks locks.

A request comes over a Unix socket and is answered by a *keeper*, a fork that forks the working process and
stays its parent. The keeper passes on signals, ends every process that the working one left behind (orphans
of its family become its own), tells the end, and waits for the next request: a fork a run is enough. It
follows the connection, so that nothing outlives the process that asked.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.path and sys.path[0] == __file__.rpartition("/")[0]:
    del sys.path[0]  # the modules beside this one must not be taken for others of their names

import array
import atexit
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import select
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

PER_RUN = ("MLOPS_", "JPY_", "KERNEL_")  # beginnings of variables that may differ between template and run
_PDEATHSIG, _SUBREAPER = 1, 36
_MOST_BYTES = 16 << 20
_PATIENCE = 10.0
_MOST_LEFT = 5
_LAST_WORDS = 1.0
_TO_VANISH = 0.05  # a thread that was joined is counted for a moment
# what ipykernel imports only when it starts; imported here, each fork has it
_KERNEL = (
    "ipykernel_launcher",
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "sqlite3",
    "tornado.gen",
    "tornado.locks",
    "tornado.platform.asyncio",
    "tornado.queues",
)


def main() -> None:
    """Serve until the owner is gone; in a forked process, do its work and end with its status."""
    config = json.loads(sys.argv[1])
    _libc().prctl(_SUBREAPER, 1, 0, 0, 0)
    if config["listener"] is None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(config["socket"] + ".new")
        listener.listen(128)
        os.rename(config["socket"] + ".new", config["socket"])
    else:
        listener = socket.socket(fileno=config["listener"])
        listener.set_inheritable(False)
    template = Template(config)
    if (unfit := template.preload()) and len(config["left"]) < _MOST_LEFT:
        _again(config, unfit, listener, template.started)
    work = template.serve(listener, config["owner"])
    status = 1
    try:
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)  # what a fork leaves open and registered is the template's


def _again(config: dict[str, Any], unfit: str, listener: socket.socket, environment: dict[str, str]) -> None:
    """Start anew without the module ``unfit``, which each kernel then imports itself."""
    config["modules"] = [name for name in config["modules"] if name != unfit]
    config["left"].append(unfit)
    config["listener"] = listener.fileno()
    listener.set_inheritable(True)
    os.execve(sys.executable, [sys.executable, __file__, json.dumps(config)], environment)  # noqa: S606


class Template:
    """What was imported, and whether a fork of it is as good as a fresh process."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self.started = dict(os.environ)
        self._environment = lasting(self.started, config["added"])
        self._before: list[Any] = []
        self._filters: list[Any] = []
        self._set: dict[str, str] = {}
        # looked at once: in a fork each look at all modules would copy the pages that they are on
        self._base = _Base({})
        self._loaded: dict[str, Any] = {}
        self._top_names: set[str] = set()
        self._keepers: set[int] = set()
        self.doubt = ""

    def preload(self) -> str:
        """Import what was asked for; return the module, if any, of whose import more is seen than names."""
        config = self._config
        kernel = config["work"] == "kernel"
        gc.disable()  # imports leave nothing to collect, and each look for it would take longer
        if kernel:
            # as the kernel sets it before the notebook's first import: matplotlib reads it once
            os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        for name in _KERNEL if kernel else ():
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        self._base = _Base(sys.modules)
        self._before = list(warnings.filters)
        for name in config["modules"]:
            self.doubt = _imported(name, config["seeded"])
            if self.doubt:
                return str(name)
        self._filters = list(warnings.filters)
        if kernel and (holder := _drawn()):
            self.doubt = f"{holder} holds a random generator of its own"
        for name in config["ready"]:
            with contextlib.suppress(Exception):  # only quicker for it
                _called(name)
        self._loaded = dict(sys.modules)
        self._top_names = {name.partition(".")[0] for name in sys.modules} - {"__main__"}
        # what imports set, as a fresh process would have it set
        self._set = {n: v for n, v in os.environ.items() if self.started.get(n) != v and n != "MPLBACKEND"}
        gc.freeze()  # a look for garbage first would take a tenth of the time that all these imports take
        return ""

    def serve(self, listener: socket.socket, owner: int) -> Callable[[], int]:
        """Answer requests until the owner is gone. Returns in forked processes only, with their work."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(0, select.POLLIN)
        parent = _pidfd(owner)
        if parent is None or os.getppid() != owner:
            self._leave(listener)
        else:
            poll.register(parent, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll(1000):
                if descriptor != listener.fileno():
                    self._leave(listener)
                with contextlib.suppress(OSError, ValueError, KeyError):
                    connection, _ = listener.accept()
                    if work := self._answer(connection, listener, parent):
                        return work
            self._reap()

    def _leave(self, listener: socket.socket) -> None:
        """End: the owner is gone, or lets go of this template. What was forked follows who asked for it."""
        listener.close()
        deadline = time.monotonic() + _PATIENCE
        while self._keepers and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.02)
        if os.getppid() == self._config["owner"]:
            with contextlib.suppress(OSError):
                os.unlink(self._config["socket"])
        else:
            shutil.rmtree(Path(self._config["socket"]).parent, ignore_errors=True)
        os._exit(0)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self._keepers.discard(pid)
        # what a killed keeper left came to this process
        for pid in _children(os.getpid()) - self._keepers:
            end_family(pid)

    def _answer(
        self, connection: socket.socket, listener: socket.socket, parent: int | None
    ) -> Callable[[], int] | None:
        with connection:
            peer, uid, _ = struct.unpack(
                "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            )
            if uid != os.getuid():
                return None
            connection.settimeout(_PATIENCE)
            request, fds = _received(connection)
            try:
                if refusal := self._refusal(request):
                    connection.sendall(json.dumps({"refused": refusal}).encode() + b"\n")
                    return None
                sys.stdout.flush()
                sys.stderr.flush()
                watched = _pidfd(peer)
                pid = os.fork()
                if pid:
                    self._keepers.add(pid)
                    if watched is not None:
                        os.close(watched)
                    return None
                try:
                    listener.close()
                    return self._keep(connection, watched, request, fds)
                except BaseException:  # or this fork would go on as a second template
                    traceback.print_exc()
                    os._exit(1)
            finally:
                for descriptor in fds:
                    with contextlib.suppress(OSError):
                        os.close(descriptor)

    def _refusal(self, request: dict[str, Any]) -> str:
        if self.doubt:
            return self.doubt
        if (tasks := _tasks()) > 1:
            return f"{tasks} threads run in the template"
        if self._config["work"] != "kernel":
            return ""
        wanted = lasting(request["env"])
        names = {*wanted, *self._environment}
        if differing := sorted(n for n in names if wanted.get(n) != self._environment.get(n)):
            return f"the environment differs: {', '.join(differing[:5])}"
        if request["executable"] != self._config["executable"]:
            return "another interpreter"
        found = set().union(*(_importable(folder) for folder in (request["cwd"], *request["folders"])))
        if hidden := sorted(found & self._top_names):
            return f"the notebook's folder has modules named like installed ones: {', '.join(hidden[:5])}"
        return ""

    def _keep(
        self, connection: socket.socket, watched: int | None, request: dict[str, Any], fds: list[int]
    ) -> Callable[[], int] | None:
        """Fork one working process after another and keep it until it, or whoever asked for it, is gone."""
        _libc().prctl(_SUBREAPER, 1, 0, 0, 0)
        keeper = os.getpid()
        asked: dict[str, Any] | None = request
        while asked is not None:
            request = asked
            try:
                reading, writing = os.pipe()
                pid = os.fork()
            except OSError as error:
                refusal = f"nothing can be forked ({error.strerror})"
                connection.sendall(json.dumps({"refused": refusal}).encode() + b"\n")
                os._exit(1)
            if not pid:
                connection.detach()
                self._detach(keeper, request, fds, writing)
                return lambda: self._work(request)
            os.close(writing)
            for descriptor in fds:
                os.close(descriptor)
            fds.clear()
            asked = self._next(connection, watched, pid, reading, fds)
        os._exit(0)

    def _next(
        self, connection: socket.socket, watched: int | None, pid: int, reading: int, fds: list[int]
    ) -> dict[str, Any] | None:
        """Keep the working process until its end; return the request for the next one, if there is any."""
        try:
            try:
                status = _kept(connection, watched, pid, reading)
            finally:
                end_family(os.getpid(), spare=True)
            connection.sendall(json.dumps({"exit": status}).encode() + b"\n")
            if (asked := _asked(connection, watched, fds)) and (refusal := self._refusal(asked)):
                connection.sendall(json.dumps({"refused": refusal}).encode() + b"\n")
                return None
            return asked
        except Exception:  # such as a line that was cut: nobody is left to work for
            return None

    def _detach(self, keeper: int, request: dict[str, Any], fds: list[int], writing: int) -> None:
        """Make this fork a process that owes nothing to the template."""
        _libc().prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:
            os._exit(1)
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if len(fds) < 3:
            fds.insert(0, os.open(os.devnull, os.O_RDONLY))
        for target, source in enumerate(fds):
            os.dup2(source, target)
        # the number that tells when this process is ready stays open until then, just above the standard ones
        os.dup2(writing, 3, inheritable=False)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        fds.clear()
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"] | self._set)
        gc.enable()
        _draw_anew()

    def _work(self, request: dict[str, Any]) -> int:
        if self._config["work"] == "kernel":
            return self._kernel(request)
        os.close(3)
        status = 1
        try:
            status = int(_called(self._config["work"], *request["arguments"]))
        except BaseException:  # the end of a process: its parent reads the log
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _kernel(self, request: dict[str, Any]) -> int:
        """Be a kernel, as ``python -m ipykernel_launcher`` would be from here on."""
        app_class: Any = sys.modules["ipykernel.kernelapp"].IPKernelApp

        os.environ["JPY_PARENT_PID"] = str(os.getppid())
        sys.argv = [str(sys.modules["ipykernel_launcher"].__file__), *request["arguments"]]
        sys.orig_argv[:] = [sys.orig_argv[0], "-m", "ipykernel_launcher", *request["arguments"]]
        status = 0
        app: Any = None
        try:
            added = len(warnings.filters)
            app_class.clear_instance()
            app = app_class.instance(parent_handle=os.getppid())
            with self._base.seen():
                app.initialize(request["arguments"])
            self._order_filters(added)
            for name, arguments in request["calls"]:
                with contextlib.suppress(ImportError):
                    _called(name, *arguments)
            os.write(3, b"1")
            os.close(3)
            app.start()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            status = 1
        _finish(status, self._loaded, getattr(app, "control_thread", None))
        return status

    def _order_filters(self, before: int) -> None:
        """Put the filters of preloaded modules before those of the kernel: the notebook imports later."""
        imported = self._filters[: len(self._filters) - len(self._before)]
        if not imported:
            return
        added = warnings.filters[: len(warnings.filters) - before]
        rest = warnings.filters[len(added) + len(imported) :]
        warnings.filters[:] = [*imported, *added, *rest]  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]


class _Base:
    """``sys`` as a kernel sees it that asks which modules are its own: those that a fresh one has by then.

    Their names and files are here side by side: to look at all modules would copy the pages of each.
    """

    def __init__(self, modules: Mapping[str, Any]) -> None:
        files = {name: getattr(module, "__file__", None) for name, module in modules.items()}
        files = json.loads(json.dumps(files, default=str))
        self.modules = {name: types.SimpleNamespace(__file__=file) for name, file in files.items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """Have a kernel that is made meanwhile look here."""
        asking: list[Any] = [sys.modules["ipykernel.ipkernel"], sys.modules["IPython.core.shellapp"]]
        for module in asking:
            module.sys = self
        try:
            yield
        finally:
            for module in asking:
                module.sys = sys


def end_family(root: int, spare: bool = False) -> None:
    """Kill all descendants of ``root``, frozen first so that none can fork, and ``root`` unless spared."""
    frozen: set[int] = set() if spare else {root}
    for pid in frozen:
        _signal(pid, signal.SIGSTOP)
    while fresh := _descendants(root) - frozen:
        for pid in fresh:
            _signal(pid, signal.SIGSTOP)
        frozen |= fresh
    for pid in frozen:
        _signal(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while spare:
            os.waitpid(-1, 0)


def _kept(connection: socket.socket, watched: int | None, pid: int, reading: int) -> int:
    """Pass messages between the connection and the process until either is gone; return its status."""
    connection.settimeout(_PATIENCE)
    connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")
    child = _pidfd(pid)
    with os.fdopen(reading, "rb", buffering=0) as beginning, _closed(child):
        poll = select.poll()
        for descriptor in (connection.fileno(), watched, child, reading):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        waiting = b""
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(None if child is not None else 50)}
            if reading in ready:
                poll.unregister(reading)
                if beginning.read(1):
                    connection.sendall(b'{"ready": true}\n')
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            if watched in ready:
                break
            if connection.fileno() in ready:
                data = connection.recv(4096)
                if not data:
                    break
                *lines, waiting = (waiting + data).split(b"\n")
                for line in lines:
                    _pass_on(pid, int(json.loads(line)["signal"]))
        _pass_on(pid, signal.SIGKILL)
        return -signal.SIGKILL


def _asked(connection: socket.socket, watched: int | None, fds: list[int]) -> dict[str, Any] | None:
    """Wait for the next request over a connection and return it; ``None`` once whoever asks is gone."""
    poll = select.poll()
    for descriptor in (connection.fileno(), watched):
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
    while watched not in {descriptor for descriptor, _ in poll.poll()}:
        request, received = _received(connection)
        fds += received
        if not request:
            return None
        if "signal" not in request:  # for one that has ended by now
            return request
    return None


@contextlib.contextmanager
def _closed(descriptor: int | None) -> Iterator[None]:
    """Close a descriptor after the block."""
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _pass_on(pid: int, number: int) -> None:
    """Signal the group of the working process, which is this one's child and so cannot be somebody else."""
    try:
        os.killpg(pid, number)
    except OSError:
        _signal(pid, number)


def _called(name: str, *arguments: Any) -> Any:
    module, _, function = name.partition(":")
    found = importlib.import_module(module)
    return getattr(found, function)(*arguments) if function else None


def _finish(status: int, loaded: dict[str, Any], control: Any) -> None:
    """End a kernel as an interpreter ends, but for taking apart what was ``loaded``: that would cost a run.

    Threads are waited for, exit handlers run, the notebook's objects go, files left open are written out.
    """
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        if control is not None and control.is_alive():
            # it may still say that it heard; the kernel's exit handler would take its channel away meanwhile,
            # and the two would wait for each other
            control.stop()
            control.join(_LAST_WORDS)
        atexit._run_exitfuncs()
        names = vars(sys.modules["__main__"])
        if names is not globals():  # as they are in a kernel that ends before it has a namespace
            for name in [name for name in names if name != "__builtins__"]:
                names[name] = None
        for name in _new_since(loaded):
            del sys.modules[name]
        gc.collect()
        for each in gc.get_objects():
            if isinstance(each, io.BufferedWriter | io.TextIOWrapper) and not each.closed:
                with contextlib.suppress(OSError, ValueError):
                    each.flush()
    finally:
        os._exit(status & 0xFF)


def _new_since(loaded: dict[str, Any]) -> list[str]:
    """Return the names of the modules that were not ``loaded``: the last ones of all."""
    found = []
    last = next(reversed(loaded), "")
    for name in reversed(sys.modules):
        if name == last and sys.modules[name] is loaded[last]:
            break
        if name not in loaded:
            found.append(name)
    return found


def _received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read one request, a line of JSON, with the descriptors that came with it; empty at the end of all."""
    fds = array.array("i")
    data, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(4 * fds.itemsize))
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    parts = [data]
    size = len(data)
    while data and not data.endswith(b"\n") and size < _MOST_BYTES:
        data = connection.recv(1 << 16)
        size += len(data)
        parts.append(data)
    *_, last = b"".join(parts).splitlines() or [b"{}"]
    request: dict[str, Any] = json.loads(last)
    return request, list(fds)


def lasting(environment: Mapping[str, str], but: Collection[str] = ()) -> dict[str, str]:
    """Return the variables that must be the same in a template and in the process forked from it."""
    return {k: v for k, v in environment.items() if not k.startswith(PER_RUN) and k not in but}


def _imported(name: str, seeded: bool) -> str:
    """Import a module and return what can be seen of that beside its names: reasons for doubt.

    Where the notebook has ``seeded`` generators before it imports, also what the import draws from them.
    """
    files, states = set(os.listdir("/proc/self/fd")), _states() if seeded else {}
    with _listened() as heard:
        try:
            importlib.import_module(name)
        except BaseException as error:
            return f"{name} cannot be imported beforehand ({type(error).__name__})"
        if heard():
            return f"{name} prints or warns when it is imported"
    if not _alone():
        return f"{name} starts threads when it is imported"
    if set(os.listdir("/proc/self/fd")) - files:
        return f"{name} keeps files open when it is imported"
    if seeded and any(states[key] != state for key, state in _states().items() if key in states):
        return f"{name} draws random numbers when it is imported"
    return ""


def _states() -> dict[str, str]:
    """Return the state of each global generator of random numbers that is loaded."""
    found = {}
    if random := sys.modules.get("random"):
        found["random"] = repr(random.getstate())
    if "numpy.random" in sys.modules:
        found["numpy"] = repr(sys.modules["numpy.random"].get_state(legacy=False)["state"]["key"].tobytes())
    return found


@contextlib.contextmanager
def _listened() -> Iterator[Callable[[], bool]]:
    """Take note of what is printed or warned meanwhile; the value says whether anything was."""
    warned: list[object] = []
    shown = warnings.showwarning
    warnings.showwarning = lambda *given, **more: warned.append(given)
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as paper:
        os.dup2(paper.fileno(), 1)
        os.dup2(paper.fileno(), 2)

        def heard() -> bool:
            sys.stdout.flush()
            sys.stderr.flush()
            return bool(warned) or os.fstat(paper.fileno()).st_size > 0

        try:
            yield heard
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, source in zip((1, 2), saved, strict=True):
                os.dup2(source, target)
                os.close(source)
            warnings.showwarning = shown


def _drawn() -> str:
    """Return the name of a module that holds a generator of random numbers beside the global ones."""
    random = sys.modules.get("random")
    kinds: list[type] = [random.Random] if random else []
    numpy = sys.modules.get("numpy.random")
    if numpy:
        kinds += [numpy.Generator, numpy.RandomState, numpy.BitGenerator]
    known = {id(getattr(random, "_inst", None)), id(numpy.mtrand._rand) if numpy else 0}
    kind = tuple(kinds)
    for name, module in list(sys.modules.items()):
        for value in list(getattr(module, "__dict__", {}).values()):
            if isinstance(value, kind) and id(value) not in known and type(value).__name__ != "SystemRandom":
                return name
    return ""


def _draw_anew() -> None:
    """Give this process random numbers of its own; Python's own generator is seeded by Python at a fork."""
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if process := sys.modules.get("multiprocessing.process"):
        process.current_process().authkey = os.urandom(32)


def _importable(folder: str) -> set[str]:
    """Return the names that ``import`` would find in ``folder``."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            stem, _, rest = entry.name.partition(".")
            package = not rest and os.path.exists(f"{entry.path}/__init__.py")
            if package or rest.endswith(("py", "so", "pyc")):
                found.add(stem)
    return found


def _alone() -> bool:
    """Return whether one thread runs here, or would at a fork, where OpenBLAS ends those of its own."""
    if _tasks() == 1:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
        if not child:
            os._exit(0)
    os.waitpid(child, 0)
    deadline = time.monotonic() + _TO_VANISH
    while _tasks() > 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    return _tasks() == 1


def _tasks() -> int:
    return len(os.listdir("/proc/self/task"))


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found |= {int(each) for each in _read(f"/proc/{pid}/task/{task}/children").split()}
    return found


def _descendants(root: int) -> set[int]:
    found: set[int] = set()
    waiting = [root]
    while waiting:
        fresh = _children(waiting.pop()) - found
        found |= fresh
        waiting += fresh
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _libc() -> Any:
    return ctypes.CDLL(None)


if __name__ == "__main__":
    main()
