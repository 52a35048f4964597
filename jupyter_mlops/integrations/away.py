"""A run away from home: executed where nothing of its project is but what it takes along. For executors.

What it takes along is a ``Luggage``: notebook, sources, and the facts of its inputs, whose bytes come from
the project's remote. It is executed in a project that exists for it alone, and what came of it, a ``Parcel``,
is written into the project at home: metrics, parameters, tags, artifacts, versions, and the outcome.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomlkit

from ..config import DEFAULT_REMOTE, FILE, RemotePlace
from ..errors import BadInput, Conflict, Failed, MLOpsError
from ..objects import Entry, Objects
from ..objects.upkeep.reach import lacking
from ..people import Role
from ..project import STATE, Project, init_project
from ..runs.artifact import Artifact
from ..runs.execution.executor import Outcome, Task
from ..runs.execution.local import LocalExecutor
from ..runs.liveness import Liveness
from ..runs.run import RunError
from ..runs.sweeps.plan import FixedInput
from ..runs.tracking.capture import imported_sources
from ..runs.tracking.journal import Journal
from ..runs.tracking.records import Records, insert_parts

MOST_BYTES = 1 << 30
_SWEEP = "sweep"
_TREES = ("folder", "model")


@dataclass(frozen=True, slots=True)
class Luggage:
    """What a run takes along; it can be pickled.

    ``parameters`` and ``request`` are what is recorded of the run and its sweep, ``inputs`` the facts of the
    versions that it reads.
    """

    task: Task = field(repr=False)
    actor: str
    project: str
    remotes: Mapping[str, RemotePlace]
    trust: tuple[str, ...]
    sources: Mapping[str, bytes] = field(repr=False)
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]] = field(repr=False)
    request: str = field(repr=False)
    metric: str | None
    goal: str | None


@dataclass(frozen=True, slots=True)
class Bytes:
    """Stored bytes on their way: files by digest, and trees with what is in them."""

    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    trees: dict[str, tuple[Entry, ...]] = field(default_factory=dict)

    def take(self, objects: Objects, digest: str, tree: bool) -> None:
        """Add what ``digest`` names."""
        entries = objects.tree(digest) if tree else (Entry("", 0, objects.size(digest), digest),)
        fresh = {entry.digest: entry.size for entry in entries if entry.digest not in self.files}
        if sum(map(len, self.files.values())) + sum(fresh.values()) > MOST_BYTES:
            raise Failed(
                f"the run keeps more than {MOST_BYTES >> 20:,} MB, the most that can be brought home",
                "execute it with --executor local, or keep less",
            )
        for each in fresh:
            self.files[each] = objects.read(each)
        if tree:
            self.trees[digest] = tuple(entries)

    def keep(self, objects: Objects) -> None:
        """Store all of it."""
        with objects.batch() as batch:
            kept = {batch.put_bytes(data) for data in self.files.values()}
            kept |= {batch.put_tree(entries) for entries in self.trees.values()}
        if kept != {*self.files, *self.trees}:
            raise Failed("what came home from a run is not what it said", "execute it again")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What came of a run away from home; it can be pickled. ``points`` are the files of its metrics."""

    outcome: Outcome
    points: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Artifact] = ()
    outputs: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    bytes: Bytes = field(default_factory=Bytes)


def packed(project: Project, task: Task) -> Luggage:
    """Return what ``task`` takes along; raises ``BadInput`` for one that cannot go elsewhere."""
    if Path(task.folder).is_absolute():
        raise BadInput(
            f"{task.name} lies outside of the project", "what is executed elsewhere is taken from the project"
        )
    run = project.runs.get(task.id)
    sweep = project.store.one("SELECT request, metric, goal FROM sweeps WHERE id = :id", id=run.sweep) or {}
    if run.inputs and not project.config.remotes:
        reads = ", ".join(sorted(run.inputs.values()))
        raise BadInput(
            f"the run reads {reads}, and the project has no remote to fetch it from",
            "`mlops data remote add NAME URL`, then `mlops data push`",
        )
    root = project.root
    own = imported_sources(task.codes, root / task.folder, root)
    return Luggage(
        task=task,
        actor=project.actor.name,
        project=project.config.name,
        remotes=project.config.remotes,
        trust=project.people.policy.trust,
        sources={path: (root / path).read_bytes() for path in own},
        parameters=run.parameters,
        inputs={name: project.datasets.fact_of(ref) for name, ref in run.inputs.items()},
        request=json.dumps({**json.loads(sweep["request"]), "pruner": None}, ensure_ascii=False),
        metric=sweep["metric"],
        goal=sweep["goal"],
    )


def executed(luggage: Luggage, place: Path, stopped: Callable[[], bool]) -> Parcel | None:
    """Execute a run in a fresh project below ``place`` and return what came of it; ``None``: it was stopped.

    Datasets that were fetched stay in ``place`` for the next run.
    """
    try:
        with _project(luggage, place) as project:
            _fetch(project, luggage.inputs.values())
            _record(project, luggage)
            liveness = Liveness(project.state)
            executor = LocalExecutor(project.root, project.state, luggage.actor, liveness)
            try:
                outcome = executor.run(luggage.task, stopped)
            finally:
                executor.close()
            return None if outcome.stopped else _parcel(project, luggage, outcome, liveness.journals)
    except (MLOpsError, OSError) as error:
        return Parcel(Outcome(RunError(None, type(error).__name__, str(error))))


def unpacked(project: Project, task: Task, parcel: Parcel) -> Outcome | None:
    """Write what came of a run into the project at home; ``None``: it had ended there before."""
    records = Records(project.store, project.people)
    try:
        with project.objects.holding():  # until the facts are there, nothing else keeps the bytes
            parcel.bytes.keep(project.objects)
            if parcel.parameters:
                records.parameters(task.id, parcel.parameters)
            if parcel.tags:
                records.tags(task.id, parcel.tags)
            for artifact in parcel.artifacts:
                records.artifact(task.id, artifact, False)
            for fact in parcel.outputs:
                records.output(task.id, project.datasets.adopt(fact["name"], fact))
        if parcel.points:
            Journal(project.store, Liveness(project.state).journals).add(parcel.points)
    except Conflict:
        return None
    return parcel.outcome


@contextmanager
def _project(luggage: Luggage, place: Path) -> Iterator[Project]:
    """Make a project that holds what the run takes along, and remove it at the end."""
    shared = place / "objects"
    shared.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix=f"{luggage.task.id}-", dir=place))
    try:
        for path, data in luggage.sources.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        (root / luggage.task.folder).mkdir(parents=True, exist_ok=True)
        (root / FILE).write_text(_configuration(luggage), "utf-8")
        (root / STATE).mkdir(mode=0o700)
        (root / STATE / "objects").symlink_to(shared, target_is_directory=True)
        with init_project(root, luggage.actor) as project:
            yield project
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _configuration(luggage: Luggage) -> str:
    remotes = {
        name: {"url": at.url, "single_writer": at.single_writer} for name, at in luggage.remotes.items()
    }
    tables: dict[str, Any] = {
        # the environment may name the store at home
        "project": {"name": luggage.project, "store": f"{STATE}/store.sqlite"},
        "people": {"admin": [luggage.actor]},
        "data": {"upkeep": "off"},
        "trust": {"types": list(luggage.trust)},
    }
    if remotes:
        tables["remotes"] = remotes
    return tomlkit.dumps(tables)


def _fetch(project: Project, facts: Iterable[Mapping[str, Any]]) -> None:
    """Have the versions that the run reads, under the names they have at home."""
    remotes = sorted(project.config.remotes, key=lambda name: name != DEFAULT_REMOTE)
    for fact in facts:
        # parents are other versions, of which the run knows nothing
        version = project.datasets.adopt(fact["name"], {**fact, "parents": []}, fact["number"])
        failure: MLOpsError | None = None
        for remote in remotes:
            if not lacking(project.objects, [(version.digest, True)]):
                break
            try:
                project.datasets.pull(version.ref, remote)
            except MLOpsError as error:
                failure = error
        if lacking(project.objects, [(version.digest, True)]):
            raise Failed(
                f"{version.ref} cannot be fetched: {failure.message if failure else 'no remote has it'}",
                f"`mlops data push {version.ref}` in the project brings it there",
            )


def _record(project: Project, luggage: Luggage) -> None:
    """Have the run and its sweep in the facts, so that the notebook finds its run."""
    task = luggage.task
    here = Liveness(project.state).here
    shared = {"experiment": task.experiment, "notebook": task.name, "host": here}
    with project.people.write(Role.CONTRIBUTOR) as tx:
        tx.insert(
            "sweeps",
            id=_SWEEP,
            notebook_digest="",
            request=luggage.request,
            metric=luggage.metric,
            goal=luggage.goal,
            size=1,
            status="running",
            at=tx.at,
            actor=tx.actor,
            **shared,
        )
        tx.insert(
            "runs",
            id=task.id,
            number=1,
            sweep=_SWEEP,
            position=0,
            kind="notebook",
            status="running",
            actor=tx.actor,
            proof=tx.proof,
            at=tx.at,
            started_at=tx.at,
            **shared,
        )
        fixed = {
            name: FixedInput(ref := f"{fact['name']}@v{fact['number']}", ref, fact["digest"])
            for name, fact in luggage.inputs.items()
        }
        insert_parts(tx, task.id, luggage.parameters, fixed)
        tx.event("run.started", f"run:{task.id}", sweep=_SWEEP, **shared)


def _parcel(project: Project, luggage: Luggage, outcome: Outcome, journals: Path) -> Parcel:
    run = project.runs.get(luggage.task.id)
    carried = Bytes()
    for artifact in run.artifacts.values():
        carried.take(project.objects, artifact.digest, artifact.kind in _TREES)
        if picture := artifact.detail.get("picture"):
            carried.take(project.objects, picture["digest"], False)
    known = set(run.inputs.values())
    facts = [project.datasets.fact_of(ref) for ref in run.outputs]
    for fact in facts:
        carried.take(project.objects, fact["digest"], True)
    return Parcel(
        outcome,
        Journal(project.store, journals).copy(run.id),
        {name: value for name, value in run.parameters.items() if name not in luggage.parameters},
        run.tags,
        [replace(artifact, _keeper=None) for artifact in run.artifacts.values()],
        [{**fact, "parents": [ref for ref in fact["parents"] if ref in known]} for fact in facts],
        carried,
    )
