"""A forked kernel cannot be told from a fresh one, and whatever is in doubt is started afresh."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_mlops.runs.execution.warm.doubt import Reading
from jupyter_mlops.runs.execution.warm.fork import Fork, Keepers, Refused, fork
from jupyter_mlops.runs.execution.warm.templates import Template, Templates

from ..conftest import eventually
from .conftest import Kernel, OpenKernel, environment, opened_kernel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


def forked(template: Template, words: list[str], folder: Path, env: dict[str, str] | None = None) -> Fork:
    """A kernel that nobody talks to."""
    return fork(
        template.address,
        [*words, "--HistoryManager.hist_file=:memory:"],
        environment=env or environment(),
        folder=str(folder),
        output=1,
        errors=2,
        executable=sys.executable,
    )


SELF = """
import json, os, signal, sys, threading
print(json.dumps({
    "argv": sys.argv[1:2], "launcher": sys.argv[0].rpartition("/")[2], "main": __name__,
    "shell": type(get_ipython()).__name__, "cwd": os.getcwd(), "path": sys.path,
    "flags": [sys.flags.safe_path, sys.flags.isolated, sys.flags.no_user_site],
    "term": str(signal.getsignal(signal.SIGTERM)), "child": str(signal.getsignal(signal.SIGCHLD)),
    "mask": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
    "stdin": os.readlink("/proc/self/fd/0") if os.path.exists("/proc/self/fd/0") else "",
    "leader": os.getsid(0) == os.getpid() == os.getpgid(0), "threads": threading.active_count(),
    "environment": sorted(name for name in os.environ if not name.startswith(("JPY_", "KERNEL_"))),
    "backend": os.environ["MPLBACKEND"], "umask": os.umask(os.umask(0)),
    "history": get_ipython().history_manager.hist_file, "own": sys.stdout.__class__.__name__,
}))
"""


def test_it_sees_of_itself_what_a_fresh_one_sees(open_kernel: OpenKernel, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with opened_kernel(str(tmp_path / "none" / "t"), folder) as cold:
        assert (cold.provisioner.warm, cold.provisioner.why[:20]) == (False, "there is no template")
        fresh = json.loads(cold.run(SELF))
    warm = open_kernel(folder)
    assert warm.provisioner.warm, warm.provisioner.why
    forked = json.loads(warm.run(SELF))
    # a pipe that nobody writes to, and nothing at all, read the same
    fresh.pop("stdin")
    assert forked.pop("stdin") == "/dev/null"
    assert set(forked.pop("environment")) ^ set(fresh.pop("environment")) == set()
    assert forked == fresh
    assert forked["cwd"] == str(folder)
    assert forked["launcher"] == "ipykernel_launcher.py"


def test_two_draw_different_numbers_and_seeded_ones_the_same_as_cold(
    open_kernel: OpenKernel, tmp_path: Path
) -> None:
    unseeded = (
        "import random\nimport numpy as np\n"
        "print(np.random.rand(), np.random.default_rng().random(), random.random())"
    )
    seeded = (
        "np.random.seed(7)\nrandom.seed(7)\ndrawn = np.random.default_rng(7).random(3)\n"
        "print(np.random.rand(3).tobytes().hex(), drawn.tobytes().hex(), random.random())"
    )
    one, other = open_kernel(), open_kernel()
    numbers = [one.run(unseeded).split(), other.run(unseeded).split()]
    assert all(a != b for a, b in zip(*numbers, strict=True)), numbers
    with opened_kernel(str(tmp_path / "none" / "t"), tmp_path) as cold:
        cold.run(unseeded)
        assert one.run(seeded) == other.run(seeded) == cold.run(seeded)


def test_secrets_of_processes_are_not_shared(open_kernel: OpenKernel) -> None:
    ask = "import multiprocessing\nprint(multiprocessing.current_process().authkey.hex())"
    assert open_kernel().run(ask) != open_kernel().run(ask)


def test_hashes_are_those_of_the_seed_that_is_told_with_the_run(
    open_kernel: OpenKernel, template: Template
) -> None:
    ask = "print(hash('seeded'))"
    told = subprocess.run(
        [sys.executable, "-c", ask],
        env=environment(PYTHONHASHSEED=template.hash_seed),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    kernel = open_kernel()
    assert kernel.run(ask) == told
    assert kernel.run("import os\nprint('PYTHONHASHSEED' in os.environ)").strip() == "False"


def test_an_interrupt_hits_one_kernel_only(open_kernel: OpenKernel, tmp_path: Path) -> None:
    one, other = open_kernel(), open_kernel()
    wait = (
        "import pathlib, time\nplace = pathlib.Path({!r})\ntry:\n    place.touch()\n"
        "    while not (place.parent / 'go').exists():\n        time.sleep(0.01)\n    print('went')\n"
        "except KeyboardInterrupt:\n    print('interrupted')"
    )
    said: dict[str, str] = {}

    def run(name: str, kernel: Kernel) -> None:
        said[name] = kernel.run(wait.format(str(tmp_path / name)))

    threads = [threading.Thread(target=run, args=given) for given in (("one", one), ("other", other))]
    for thread in threads:
        thread.start()
    eventually(lambda: (tmp_path / "one").exists() and (tmp_path / "other").exists())
    one.manager.interrupt_kernel()
    eventually(lambda: "one" in said)
    (tmp_path / "go").touch()
    for thread in threads:
        thread.join(60)
    assert said == {"one": "interrupted\n", "other": "went\n"}


def test_another_environment_makes_it_cold(open_kernel: OpenKernel) -> None:
    kernel = open_kernel(env=environment(LD_LIBRARY_PATH="/nowhere", OMP_NUM_THREADS="2"))
    assert kernel.provisioner.warm is False
    assert kernel.provisioner.why == "the environment differs: LD_LIBRARY_PATH, OMP_NUM_THREADS"
    assert kernel.run("import os\nprint(os.environ['OMP_NUM_THREADS'])") == "2\n"


def test_variables_of_the_run_are_replaced(open_kernel: OpenKernel) -> None:
    kernel = open_kernel(env=environment(MLOPS_RUN="r1"))
    assert kernel.provisioner.warm
    assert kernel.run("import os\nprint(os.environ['MLOPS_RUN'])") == "r1\n"
    assert kernel.run("import subprocess\nprint(subprocess.getoutput('echo $MLOPS_RUN'))") == "r1\n"


def test_a_module_of_the_folder_named_like_a_loaded_one_makes_it_cold(
    open_kernel: OpenKernel, tmp_path: Path
) -> None:
    (tmp_path / "secrets.py").write_text("mine = True\n")
    kernel = open_kernel(tmp_path)
    assert kernel.provisioner.why == "the notebook's folder has modules named like installed ones: secrets"
    with_sources = tmp_path / "kept"
    with_sources.mkdir()
    (with_sources / "secrets").mkdir()  # only a folder: no package, found last
    assert open_kernel(with_sources).provisioner.warm


def test_a_killed_template_makes_the_next_kernel_cold_and_leaves_the_others(
    templates: Templates, tmp_path: Path
) -> None:
    own = templates.kernel(Reading(("json",)), environment())
    with opened_kernel(own.address, tmp_path) as before:
        assert before.provisioner.warm
        before.run("x = 1")
        own._process.kill()
        own._process.wait()
        with opened_kernel(own.address, tmp_path) as after:
            assert after.provisioner.warm is False
            assert "template" in after.provisioner.why
            assert after.run("print('started')") == "started\n"
        assert before.run("print(x)") == "1\n"
    again = templates.kernel(Reading(("json",)), environment())
    with opened_kernel(again.address, tmp_path) as renewed:
        assert renewed.provisioner.warm


def test_a_kernel_that_is_killed_is_seen_dead_and_leaves_nothing(open_kernel: OpenKernel) -> None:
    kernel = open_kernel()
    away = "import subprocess\nprint(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
    left = int(kernel.run(away))
    kernel.run(
        "import os, time\nif not os.fork():\n    os.setsid()\n"
        "    if not os.fork():\n        time.sleep(600)\n    os._exit(0)"
    )
    keeper = psutil.Process(kernel.pid).parent()
    assert keeper is not None
    family = {p.pid for p in keeper.children(recursive=True)}
    assert left in family
    os.kill(kernel.pid, signal.SIGKILL)
    eventually(lambda: not kernel.manager.is_alive())
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in family))
    assert psutil.pid_exists(left) is False


def test_what_it_leaves_behind_ends_with_it(open_kernel: OpenKernel) -> None:
    kernel = open_kernel()
    pid = int(
        kernel.run("import subprocess\nprint(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)")
    )
    kernel.client.shutdown()
    eventually(lambda: not kernel.manager.is_alive())
    assert not psutil.pid_exists(pid)


def test_a_keeper_keeps_one_kernel_after_another_and_each_is_clean(
    open_kernel: OpenKernel, template: Template, tmp_path: Path
) -> None:
    keepers = Keepers()
    leave = "import os, subprocess\nx = 1\nprint(os.getppid(), subprocess.Popen(['sleep', '600']).pid)"
    seen = []
    for _ in range(3):
        kernel = open_kernel(keepers=keepers)
        assert kernel.provisioner.warm, kernel.provisioner.why
        assert kernel.run("print('x' in globals())") == "False\n"
        keeper, left = map(int, kernel.run(leave).split())
        os.kill(kernel.pid, signal.SIGKILL)
        eventually(lambda kernel=kernel: not kernel.manager.is_alive())
        eventually(lambda left=left: not psutil.pid_exists(left))
        kernel.manager.shutdown_kernel(now=True)
        seen.append(keeper)
    assert len(set(seen)) == 1
    refused = open_kernel(env=environment(LD_LIBRARY_PATH="/nowhere"), keepers=keepers)
    assert refused.provisioner.why == "the environment differs: LD_LIBRARY_PATH"
    eventually(lambda: not psutil.pid_exists(seen[0]))


def test_it_knows_the_modules_that_a_fresh_one_has_when_it_starts(
    open_kernel: OpenKernel, tmp_path: Path
) -> None:
    ask = (
        "kernel = get_ipython().kernel\n"
        "names = {name.partition('.')[0] for name in get_ipython()._sys_modules_keys}\n"
        "print('numpy' in names, 'ipykernel' in names, "
        "any('/numpy/' in file for file in kernel._kernel_modules), len(kernel._kernel_modules) > 100)"
    )
    with opened_kernel(str(tmp_path / "none" / "t"), tmp_path) as cold:
        assert open_kernel().run(ask) == cold.run(ask) == "False True False True\n"


LEAVING = """
import atexit, pathlib, sys, threading, time, types
place = pathlib.Path({place!r})
atexit.register(lambda: (place / "handler").write_text("ran"))
left = open(place / "left", "w")
left.write("open")
module = types.ModuleType("kept")
sys.modules["kept"] = module
module.file = open(place / "module", "w")
module.file.write("open")
class Last:
    def __init__(self, name):
        self.place = place / name
    def __del__(self):
        self.place.write_text("gone")
last = Last("last")
cycle = Last("cycle")
cycle.itself = cycle
def late():
    time.sleep(0.5)
    (place / "thread").write_text("done")
threading.Thread(target=late).start()
"""


def test_it_ends_as_a_fresh_one_ends(open_kernel: OpenKernel, tmp_path: Path) -> None:
    written = []
    with opened_kernel(str(tmp_path / "none" / "t"), tmp_path) as cold:
        for name, kernel in (("cold", cold), ("warm", open_kernel())):
            place = tmp_path / name
            place.mkdir()
            kernel.run(LEAVING.format(place=str(place)))
            kernel.client.shutdown()
            eventually(lambda kernel=kernel: not kernel.manager.is_alive())
            written.append({file.name: file.read_text() for file in place.iterdir()})
    assert written[0] == written[1]
    assert set(written[1]) == {"handler", "left", "module", "thread", "last", "cycle"}


def test_nothing_is_left_of_two_hundred(templates: Templates, tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    env = environment(TMPDIR=str(place))
    template = templates.kernel(Reading(("json",)), env)
    sockets = Path(template.address).parent
    me, its = psutil.Process(), psutil.Process(template._process.pid)
    connection = ["-f", str(tmp_path / "kernel.json"), "--transport=ipc", f"--ip={tmp_path}/s"]

    def counted() -> dict[str, Any]:
        shared = {file.name for file in Path("/dev/shm").iterdir() if file.name.startswith(("sem.", "psm_"))}
        return {
            "descriptors": (me.num_fds(), its.num_fds()),
            "threads": (me.num_threads(), its.num_threads()),
            "processes": (len(its.children(recursive=True)), len(psutil.Process().children())),
            "files": sorted(file.name for folder in (sockets, place) for file in folder.iterdir()),
            "shared": shared,
        }

    def once(number: int) -> None:
        if number % 10 == 0:  # one that starts, listens and is killed
            made = forked(template, connection, tmp_path, env)
            eventually(lambda: made.poll() is None and made.ready)
        elif number % 2:  # one that is killed while it starts
            made = forked(template, connection, tmp_path, env)
        else:  # one that ends by itself
            made = forked(template, ["--version"], tmp_path, env)
            assert made.wait(60) == 0
        made.close()

    for number in range(10):
        once(number)
    eventually(lambda: counted()["processes"][0] == 0)
    before = counted()
    for number in range(200):
        once(number)
    eventually(lambda: counted()["processes"] == before["processes"])
    assert {**counted(), "shared": set()} == {**before, "shared": set()}
    # what other tests share meanwhile goes, too
    eventually(lambda: counted()["shared"] <= before["shared"])


LIBRARIES = ("numpy", "pandas", "sklearn.linear_model")


def test_warm_kernels_share_memory(templates: Templates, tmp_path: Path) -> None:
    template = templates.kernel(Reading(LIBRARIES), environment())
    taken: dict[bool, list[int]] = {True: [], False: []}
    with ExitStack() as stack:
        for address in [*[template.address] * 8, *[str(tmp_path / "none" / "t")] * 2]:
            kernel = stack.enter_context(opened_kernel(address, tmp_path))
            kernel.run(f"import {', '.join(LIBRARIES)}\nx = numpy.arange(1000) ** 2")
            taken[kernel.provisioner.warm].append(kernel.pid)
        assert {warm: len(pids) for warm, pids in taken.items()} == {True: 8, False: 2}
        keepers = [psutil.Process(pid).ppid() for pid in taken[True]]
        warm = sum(map(proportional, [template._process.pid, *keepers, *taken[True]]))
        cold = sum(map(proportional, taken[False])) * 4
    print(f"8 warm kernels with their template and keepers: {warm >> 20} MB, 8 cold ones: {cold >> 20} MB")
    assert warm < cold / 2


def proportional(pid: int) -> int:
    """Return the memory of a process, of what it shares with others its part."""
    found = Path(f"/proc/{pid}/smaps_rollup").read_text().split("\nPss:")[1]
    return int(found.split()[0]) << 10


def test_many_starts_at_once_all_answer(template: Template, tmp_path: Path) -> None:
    made: list[Fork] = []

    def one(number: int) -> None:
        folder = Path(template.address).parent / f"many{number}"
        folder.mkdir()
        words = ["-f", str(folder / "k.json"), "--transport=ipc", f"--ip={folder}/s"]
        made.append(forked(template, words, tmp_path))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len({each.pid for each in made}) == 50
    eventually(lambda: all(each.poll() is None and each.ready for each in made), 120)
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
            "t",
        ),
        ("print('loaded')", "p"),
        ("import warnings\nwarnings.warn('old', FutureWarning)", "w"),
        ("raise RuntimeError('not today')", "e"),
        ("import random\nrandom.random()", "r"),
        ("file = open(__file__)", "f"),
    ],
)
def test_a_module_whose_import_is_more_than_its_names_is_imported_by_each_kernel(
    templates: Templates, tmp_path: Path, code: str, seen: str
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / f"odd_{seen}.py").write_text(code + "\n")
    env = environment(PYTHONPATH=str(library))
    own = templates.kernel(Reading((f"odd_{seen}", "fractions"), seeded=True), env)
    with opened_kernel(own.address, tmp_path, env=env) as kernel:
        assert kernel.provisioner.warm, kernel.provisioner.why
        assert (
            kernel.run(f"import sys\nprint('odd_{seen}' in sys.modules, 'fractions' in sys.modules)")
            == "False True\n"
        )


def test_a_module_with_a_generator_of_its_own_makes_it_cold(templates: Templates, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "drawing.py").write_text("import numpy\nrng = numpy.random.default_rng()\n")
    env = environment(PYTHONPATH=str(library))
    own = templates.kernel(Reading(("drawing",)), env)
    with opened_kernel(own.address, tmp_path, env=env) as kernel:
        assert kernel.provisioner.why == "drawing holds a random generator of its own"


def test_threads_of_numerical_libraries_do_not_make_it_cold(templates: Templates, tmp_path: Path) -> None:
    env = environment(OPENBLAS_NUM_THREADS="2")
    del env["OMP_NUM_THREADS"]
    own = templates.kernel(Reading(("numpy", "joblib", "threadpoolctl")), env)
    with opened_kernel(own.address, tmp_path, env=env) as kernel:
        assert kernel.provisioner.why == ""
        loaded = "print({'numpy', 'joblib', 'threadpoolctl'} <= sys.modules.keys())"
        assert kernel.run(f"import sys\n{loaded}") == "True\n"
        kernel.run("import numpy, threadpoolctl\na = numpy.ones((400, 400))")
        assert kernel.run("print((a @ a).sum())") == "64000000.0\n"
        counted = kernel.run("print(*{each['num_threads'] for each in threadpoolctl.threadpool_info()})")
        assert counted == "2\n"


def test_a_worn_template_is_replaced(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_mlops.runs.execution.warm.templates._MOST_FORKS", 2)
    first = templates.kernel(Reading(("bisect",)), environment())
    assert templates.kernel(Reading(("bisect",)), environment()) is first
    second = templates.kernel(Reading(("bisect",)), environment())
    assert second is not first
    first._process.wait(30)


def test_installed_distributions_and_sys_path_are_part_of_what_a_template_is_for(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = templates.kernel(Reading(("heapq",)), environment())
    assert templates.kernel(Reading(("heapq",)), environment(OMP_NUM_THREADS="3")) is not one
    monkeypatch.setattr("jupyter_mlops.runs.execution.warm.templates._installed_at", lambda: (1,))
    assert templates.kernel(Reading(("heapq",)), environment()) is not one


def test_others_than_the_owner_get_nothing(template: Template) -> None:
    folder = Path(template.address).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(Refused, match="there is no template"):
        fork(str(folder / "no"), [], environment={}, folder="/", output=1, errors=2)


OWNER = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from jupyter_mlops.runs.execution.warm.doubt import Reading
from jupyter_mlops.runs.execution.warm.templates import Templates
from tests.runs.warm.conftest import environment, opened_kernel
made = Templates()
one = made.kernel(Reading(("json",)), environment())
with opened_kernel(one.address, Path({folder!r})) as kernel:
    assert kernel.provisioner.warm, kernel.provisioner.why
    kernel.run("import subprocess\\nsubprocess.Popen(['sleep', '600'], start_new_session=True)")
    print(one.address, flush=True)
    time.sleep(600)
"""


def test_a_killed_owner_leaves_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    code = OWNER.format(tests=str(root), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as owner:
        assert owner.stdout is not None
        address = owner.stdout.readline().strip()
        assert address
        family = psutil.Process(owner.pid).children(recursive=True)
        assert len(family) >= 4  # template, keeper, kernel, sleep
        owner.kill()
    started = time.monotonic()
    gone, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    assert gone
    assert time.monotonic() - started < 60
    eventually(lambda: not Path(address).parent.exists())
