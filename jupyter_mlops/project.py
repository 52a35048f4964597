"""The project: finds the folder, opens the store, wires the parts, hands them out to the faces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import FILE, Config, read_config
from .errors import BadInput, ProjectNotFound
from .people import Actor, Members, identify
from .people.actor import VARIABLES
from .store import AuditReport, Event, Store, Transaction

if TYPE_CHECKING:
    from .datasets import Datasets, Node
    from .datasets.remotes import Remotes
    from .monitoring import DriftReport
    from .monitoring.alerts import Alerts
    from .objects import Objects
    from .promotion import Approvals, Policies, Registry
    from .runs import Tracker

STATE = ".mlops"


class Audit:
    """The chain of events as evidence."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def verify(self) -> AuditReport:
        """Recompute every link of the chain; the report names the first fault."""
        return self._store.verify()


class Project:
    """One project, open in one actor's name. Close it, or use it as a context manager."""

    def __init__(
        self, root: Path, actor: str | Actor | None, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.root = root
        self.state = root / STATE
        self.config: Config = read_config(root)
        self.state.mkdir(mode=0o700, exist_ok=True)
        ignore = self.state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", "utf-8")
        self.actor = identify(actor, self.state, root)
        self.store = Store(self.config.store or self.state / "store.sqlite", clock)
        self.people = Members(self.store, self.actor, self.config.policy)
        self.audit = Audit(self.store)

    @cached_property
    def objects(self) -> Objects:
        """The bytes of this project, by content."""
        from .objects import Objects

        return Objects(self.state / "objects")

    @cached_property
    def datasets(self) -> Datasets:
        """The datasets and their versions."""
        from .datasets import Datasets
        from .runs.lineage import RunLinks
        from .runs.tracking.context import follow

        datasets = Datasets(
            self.store, self.people, self.objects, self.remotes, RunLinks(_models_of), self._tidy
        )
        # what is read and committed inside a run becomes its inputs and outputs, whoever opened the project
        follow(datasets, self.root)
        return datasets

    @cached_property
    def remotes(self) -> Remotes:
        """The places outside this machine that versions are pushed to and pulled from."""
        from .datasets.remotes import Remotes

        return Remotes(self.people, self.objects, self.config.remotes, self.root, self.state / "remotes")

    @cached_property
    def runs(self) -> Tracker:
        """The runs and sweeps, and how to start them."""
        from .models import ModelStore
        from .runs import Tracker

        files = ModelStore(self.objects, lambda: self.people.policy.trust)
        return Tracker(
            self.store,
            self.people,
            self.objects,
            self.datasets,
            self.root,
            self.state,
            save_model=files.save,
            load_model=files.load,
        )

    @cached_property
    def models(self) -> Registry:
        """The registered models; ``promote`` and ``rollback`` move their aliases."""
        from .promotion import Registry

        return Registry(self.store, self.people, self.objects, self.runs, self.datasets, self.approvals)

    @cached_property
    def approvals(self) -> Approvals:
        """The requests to move an alias, and the votes on them."""
        from .promotion import Approvals

        return Approvals(self.store, self.people, self.datasets)

    @cached_property
    def policies(self) -> Policies:
        """The policy: shown, and put in force from the file."""
        from .promotion import Policies

        return Policies(self.store, self.people, self.approvals)

    @cached_property
    def alerts(self) -> Alerts:
        """What needs somebody's attention."""
        from .monitoring.alerts import Alerts

        return Alerts(self.store, self.people)

    def drift(self, reference: Any, current: Any, columns: list[str] | None = None) -> DriftReport:
        """Compare ``current`` with ``reference`` column by column: refs, versions or tables."""
        from .monitoring.drift import drift

        def table(source: Any) -> Any:
            return self.datasets.get(source) if isinstance(source, str) else source

        return drift(table(reference), table(current), columns)

    def events(self, since: int | None = None, about: str | None = None) -> Iterator[Event]:
        """Yield the history in order, after event number ``since``, all of it or ``about`` one thing."""
        return self.store.events(since or 0, about)

    def _tidy(self) -> None:
        """Start the process that describes and compacts, unless the file or the environment says no."""
        if self.config.upkeep and os.environ.get("MLOPS_UPKEEP", "").lower() != "off":
            from .errand import send

            send("jupyter_mlops.automation.tidy", str(self.root))

    def close(self) -> None:
        """Close the store's connections."""
        self.store.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Project {self.config.name} at {self.root}, {self.actor.name} acting>"


def _models_of(source: Store | Transaction, runs: Sequence[str]) -> tuple[Node, ...]:
    from .models.lineage import models_of  # a listing of data needs no models

    return models_of(source, runs)


def init_project(
    path: str | Path = ".", actor: str | Actor | None = None, clock: Callable[[], datetime] | None = None
) -> Project:
    """Make ``path`` a project, or complete one: writes mlops.toml where there is none and records its policy.

    The actor becomes the admin where the file names none. Nothing that exists is overwritten.
    """
    root = Path(path).expanduser().resolve()
    if root.exists() and not root.is_dir():
        raise BadInput(f"{root} is a file", "name a folder")
    root.mkdir(parents=True, exist_ok=True)
    file = root / FILE
    who = identify(actor, root / STATE, root)
    _write_config(file, root.name, who)
    project = Project(root, who, clock)
    try:
        with project.store.write(who.name, who.proof) as transaction:
            if transaction.one("SELECT number FROM policies LIMIT 1") is None:
                project.people.record(transaction, project.config.policy)
    except BaseException:
        project.close()
        raise
    return project


def open_project(
    path: str | Path | None = None,
    actor: str | Actor | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Project:
    """Open the project at ``path``, else at ``$MLOPS_PROJECT``, else the nearest one upwards from here.

    Raises ``ProjectNotFound`` where there is none.
    """
    return Project(find_root(path), actor, clock)


def find_root(path: str | Path | None = None) -> Path:
    """Return the folder of the project that ``open_project`` would open."""
    named = path if path is not None else os.environ.get("MLOPS_PROJECT") or None
    start = Path(named).expanduser() if named is not None else Path.cwd()
    start = start.resolve()
    for folder in (start,) if named is not None else (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    where = f"{start} holds no {FILE}" if named is not None else f"no {FILE} here or above ({start})"
    raise ProjectNotFound(f"no project found: {where}", "run `mlops init` in the folder that should be one")


def drift(reference: Any, current: Any, columns: list[str] | None = None) -> DriftReport:
    """Compare ``current`` with ``reference`` by column: tables, versions, refs of the nearest project."""
    from .monitoring.drift import drift as compare

    if not isinstance(reference, str) and not isinstance(current, str):
        return compare(reference, current, columns)
    with open_project() as project:
        return project.drift(reference, current, columns)


def set_whoami(project: Project, name: str) -> Actor:
    """Remember ``name`` as the actor of this working copy; the environment still wins over it."""
    winning = next((variable for variable in VARIABLES if os.environ.get(variable, "").strip()), None)
    actor = Actor(
        name.strip(), source=f"whoami --set; ${winning} wins while it is set" if winning else "whoami --set"
    )
    file = project.state / "actor"
    file.write_text(actor.name + "\n", "utf-8")
    return actor


def _write_config(file: Path, name: str, who: Actor) -> None:
    import tomlkit

    if not file.exists():
        document = tomlkit.document()
        document.add("project", tomlkit.table().add("name", name))
        document.add("people", tomlkit.table().add("admin", [who.name]))
        document["people"].comment(
            "roles: viewer contributor operator approver admin, each includes the former"
        )
        document.add("aliases", tomlkit.table(is_super_table=True).add("challenger", tomlkit.table()))
        document["aliases"]["challenger"].comment("moves at once; see the README for approvals and gates")
        file.write_text(tomlkit.dumps(document), "utf-8")
        return
    tables = read_config(file.parent)
    if not tables.policy.people.admin:
        document = tomlkit.parse(file.read_text("utf-8"))
        people = document.setdefault("people", tomlkit.table())
        people["admin"] = [who.name]
        file.write_text(tomlkit.dumps(document), "utf-8")
