"""How runs and sweeps are seen: what made a run, what came of it, which is best, how two differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from ..charts import Figure, line
from ..errors import MLOpsError
from ..runs import Artifact, Run, RunError, Sweep, Written
from . import formats
from .dispatch import Column, listed, listing, view, when
from .leaderboard import TONES, notebook_path, parameters_of, state_of
from .reproduction import made_blocks
from .view import Block, Cell, Heading, Image, Picture, Text, Tone, View, facts, table

_MOST_LINES = 40
_MOST_CURVES, _COURSE, _LONGEST_NAMES = 12, 400, 300
_MOST_PICTURES, _LARGEST_PICTURE = 8, 2_000_000


@view.register
def _(value: Run) -> View:
    title = f"run {value.id}"
    measured = [f"{name} {formats.metric(one)}" for name, one in list(value.metrics.items())[:2]]
    read = [f"input {ref}" for ref in list(value.inputs.values())[:2]]
    failed = [str(value.error)] if value.error else []
    summary = " · ".join([title, state_of(value), *failed, *measured, *read])
    blocks: list[Block] = []
    if value.error is not None:
        blocks += _error(value.error)
    blocks.append(_circumstances(value))
    if value.parameters:
        blocks += [Heading("Parameters"), parameters_of(value)]
    if value.metrics:
        blocks += [
            Heading("Metrics"),
            facts(*((name, formats.metric(one)) for name, one in value.metrics.items())),
            *_curves(value),
        ]
    blocks += made_blocks(value)
    if value.artifacts:
        kept = value.artifacts.values()
        blocks += [Heading("Artifacts"), _artifacts_of(value), *_pictures(kept)]
    return View(title, summary, TONES.get(value.status, "plain"), tuple(blocks), value.path)


@view.register
def _(value: Sweep) -> View:
    title = f"sweep {value.id}"
    told = facts(
        ("experiment", value.experiment),
        ("notebook", value.notebook),
        ("runs", formats.number(value.size)),
        ("status", Cell(value.status, TONES.get(value.status, "plain"))),
        ("looks for", f"{value.goal} {value.metric}" if value.metric else ""),
        ("started", f"{formats.moment(value.at)} by {value.actor}"),
        ("took", formats.lasted(value.at, value.ended_at) if value.ended_at else ""),
    )
    summary = f"{title} · {value.status} · {formats.count(value.size, 'run')} of {value.notebook}"
    return View(title, summary, TONES.get(value.status, "plain"), (told,), value.path)


@view.register
def _(value: RunError) -> View:
    return View(value.name, f"{value.name} · {value}", "bad", tuple(_error(value)))


@view.register
def _(value: Artifact) -> View:
    told = facts(
        ("kind", value.kind),
        ("size", formats.size(value.bytes)),
        ("digest", Cell(formats.digest(value.digest), "code")),
    )
    summary = f"{value.name} · {value.kind} · {formats.size(value.bytes)}"
    return View(value.name, summary, "plain", (told, *_pictures([value])))


@view.register
def _(value: Written) -> View:
    told = f"wrote {value.path}"
    return View(told, told + (f"; what was there is now {value.aside}" if value.aside else ""), "good")


@listing("artifacts", Artifact)
def _artifacts(items: Sequence[Artifact]) -> View:
    columns = (
        Column("artifact", lambda one: one.name),
        Column("kind", lambda one: one.kind),
        Column("size", lambda one: formats.size(one.bytes), numeric=True),
        Column("digest", lambda one: Cell(formats.digest(one.digest), "code")),
    )
    return listed("artifact", items, columns, empty="`log_artifact` in a run keeps one")


@listing("sweeps", Sweep)
def _sweeps(items: Sequence[Sweep]) -> View:
    columns = (
        Column("sweep", lambda one: Cell(one.id, link=one.path)),
        Column("status", lambda one: Cell(one.status, TONES.get(one.status, "plain"))),
        Column("runs", lambda one: formats.number(one.size), numeric=True),
        Column("experiment", lambda one: one.experiment),
        Column("notebook", lambda one: one.notebook),
        Column("looks for", lambda one: f"{one.goal} {one.metric}" if one.metric else ""),
        Column("started (UTC)", lambda one: when(one.at)),
        Column("by", lambda one: one.actor),
    )
    return listed("sweep", items, columns, empty="`mlops run NOTEBOOK --grid KEY=A,B` makes one", path="runs")


def artifact_path(run: Run, artifact: Artifact) -> str:
    """Return where the page shows an artifact; its name may hold what has a meaning in addresses."""
    return f"{run.path}/artifacts/{quote(artifact.name, safe='', errors='replace')}"


def _artifacts_of(run: Run) -> Block:
    kept = (
        (Cell(one.name, link=artifact_path(run, one)), one.kind, formats.size(one.bytes))
        for one in run.artifacts.values()
    )
    return table(("artifact", "kind", "size"), kept, numeric=("size",))


def _error(error: RunError) -> list[Block]:
    blocks: list[Block] = [Text(f"{error.name}: {error.message}".rstrip(": "), "bad")]
    if error.source.strip():
        heading = f"{error.place.capitalize()} failed" if error.place else "What failed"
        if error.execution is not None:
            heading += f", In [{error.execution}] as executed"
        blocks += [Heading(heading), Text(_tail(error.source), "code")]
    if error.traceback.strip():
        blocks += [Heading("Traceback"), Text(_tail(error.traceback), "code")]
    return blocks


def _curves(run: Run) -> Iterator[Block]:
    """Yield the courses of what was logged more than once; those of one kind share a picture."""
    if not run.is_read:
        return
    kinds: dict[str, dict[str, tuple[list[int], list[float]]]] = {}
    names = run.courses
    for name in names[:_MOST_CURVES]:
        points = run.history(name, points=_COURSE)
        if any(math.isfinite(point.value) for point in points):
            # train_loss and valid_loss are read together
            kind = name.rpartition("_")[2].rpartition("/")[2] or name
            kinds.setdefault(kind, {})[name] = ([p.step for p in points], [p.value for p in points])
    for kind, courses in kinds.items():
        label = next(iter(courses)) if len(courses) == 1 else kind
        yield Picture(line(label, courses, y_label=label))
    if left_out := names[_MOST_CURVES:]:
        said = f"… and {formats.count(len(left_out), 'other curve')}: {', '.join(left_out)}"
        yield Text(formats.shortened(said, _LONGEST_NAMES), "muted")


def _pictures(artifacts: Iterable[Artifact]) -> Iterator[Block]:
    """Yield what artifacts look like; a picture that cannot be read here is said to be missing."""
    drawn = [one for one in artifacts if one.has_picture and one.is_read]
    for artifact in drawn[:_MOST_PICTURES]:
        try:
            content = artifact.picture()
        except MLOpsError as error:
            yield Text(f"{artifact.name} cannot be shown: {error.message}", "warning")
            continue
        if isinstance(content, Figure):
            yield Picture(content)
        elif content is not None and len(content.data) <= _LARGEST_PICTURE:
            alt = str(artifact.detail.get("alt") or "")
            yield Image(alt or artifact.name, content.media, content.data, caption=artifact.name)
    if len(drawn) > _MOST_PICTURES:
        yield Text(f"… and {formats.count(len(drawn) - _MOST_PICTURES, 'other picture')}", "muted")


def _tail(text: str) -> str:
    """Return the last lines of a long text: an error is named at its end."""
    lines = text.strip("\n").split("\n")
    left_out = len(lines) - _MOST_LINES
    return "\n".join(
        [f"… {formats.count(left_out, 'line')} more above", *lines[left_out:]] if left_out > 0 else lines
    )


def _circumstances(run: Run) -> Block:
    changed = ", with changes that were not committed" if run.info.dirty else ""
    return facts(
        ("note", run.note),
        ("removed", formats.moment(run.removed) if run.removed else ""),
        ("why it ended", run.reason),
        ("experiment", run.experiment),
        ("sweep", Cell(run.sweep, link=f"runs?sweep={run.sweep}") if run.sweep else None),
        ("notebook", run.notebook),
        ("executed notebook", Cell(*_executed(run))),
        (
            "started" if run.started_at else "queued",
            f"{formats.moment(run.started_at or run.created_at)} by {run.actor}",
        ),
        ("took", formats.duration(run.duration) if run.duration is not None else ""),
        ("commit", f"{run.info.commit[:12]}{changed}" if run.info.commit else ""),
        *((f"input {name}", Cell(ref, link=_data_path(ref))) for name, ref in run.inputs.items()),
        *(("output", Cell(ref, link=_data_path(ref))) for ref in run.outputs),
        ("tags", ", ".join(f"{name}={one}" for name, one in run.tags.items())),
    )


def _executed(run: Run) -> tuple[str, Tone, str]:
    """Return how one comes to the notebook with the outputs of this run: on the page by its link."""
    if run.info.executed_digest is None:
        return "", "plain", ""
    return f"{formats.digest(run.info.executed_digest)}", "code", notebook_path(run)


def _data_path(ref: str) -> str:
    name, at, number = ref.partition("@v")
    return f"data/{name}/{number}" if at and number.isdigit() else ""
