"""A template that many tests fork from, and kernels forked from it, spoken to as a notebook would."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from jupyter_mlops.runs.execution.warm.doubt import Reading
from jupyter_mlops.runs.execution.warm.provisioner import WarmProvisioner
from jupyter_mlops.runs.execution.warm.templates import Template, Templates

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")
MODULES = ("numpy", "numpy.random")


def environment(**more: str) -> dict[str, str]:
    """The environment of a run: one thread for numerical libraries, whatever the machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


class Kernel:
    """A kernel in which a test executes code."""

    def __init__(self, manager: KernelManager, client: Any) -> None:
        self.manager = manager
        self.client = client

    @property
    def provisioner(self) -> WarmProvisioner:
        return self.manager.provisioner

    @property
    def pid(self) -> int:
        return self.provisioner.pid

    def run(self, code: str, allow_error: bool = False) -> str:
        """Execute ``code`` and return what it printed."""
        printed: list[str] = []

        def heard(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, output_hook=heard, timeout=60, allow_stdin=False)
        if not allow_error:
            assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(printed)


OpenKernel = Callable[..., Any]


@contextmanager
def opened_kernel(
    address: str, folder: Path, env: dict[str, str] | None = None, **options: Any
) -> Iterator[Kernel]:
    """A kernel from the template at ``address``, or a cold one where that refuses."""
    place = Path(address).parent / uuid.uuid4().hex[:8]
    place.mkdir(mode=0o700, exist_ok=True, parents=True)
    manager = KernelManager(transport="ipc", connection_file=str(place / "kernel.json"), ip=str(place / "s"))
    manager.provisioner = WarmProvisioner(
        kernel_id="test", kernel_spec=manager.kernel_spec, parent=manager, template=address, **options
    )
    manager.start_kernel(
        cwd=str(folder), env=env or environment(), extra_arguments=["--HistoryManager.hist_file=:memory:"]
    )
    client = manager.client()
    client.start_channels(hb=False)
    try:
        client.wait_for_ready(timeout=120)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="session")
def templates() -> Iterator[Templates]:
    made = Templates()
    yield made
    made.close()


@pytest.fixture(scope="session")
def template(templates: Templates) -> Template:
    """A template of kernels with numpy."""
    return templates.kernel(Reading(MODULES), environment())


@pytest.fixture
def open_kernel(template: Template, tmp_path: Path) -> Iterator[OpenKernel]:
    """Open a kernel: ``open_kernel(folder=…, env=…)``; those that a test opens end with it."""
    with ExitStack() as stack:

        def opened(folder: Path | None = None, **options: Any) -> Kernel:
            return stack.enter_context(opened_kernel(template.address, folder or tmp_path, **options))

        yield opened
