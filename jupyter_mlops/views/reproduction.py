"""How a repeated run is seen beside its original, and what made a run; also part of the view of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import MLOpsError
from ..runs import Held, Reproduction, Run
from . import formats
from .dispatch import view
from .view import Action, Block, Cell, Heading, Table, Text, Tone, View, facts, table

_TONES: dict[str, Tone] = {
    "identical": "good",
    "agrees": "good",
    "differs": "bad",
    "failed": "bad",
    "equal": "good",
    "close": "good",
    "different": "bad",
    "missing": "bad",
    "new": "warning",
    "ignored": "muted",
}
_SAID = {
    "identical": "came out the same, bit for bit",
    "agrees": "came out the same where it counts",
    "differs": "came out differently",
    "failed": "failed, which the original did not",
}
_HASHING = {"random": "random: sets have another order in every process", "fixed": "set by the environment"}
_MOST_ROWS, _MOST_FILES = 40, 12
_TELLING = (
    "numpy", "pandas", "polars", "pyarrow", "scipy", "scikit-learn", "xgboost", "lightgbm", "catboost",
    "torch", "tensorflow", "jax", "statsmodels", "jupyter_mlops", "jupyter-mlops",
)  # fmt: skip


@view.register
def _(value: Reproduction) -> View:
    title = f"run {value.run.id} like {value.original.id}"
    verdict = value.verdict
    said = [_SAID.get(verdict, f"is {verdict}")]
    if value.asked:
        said.append(f"asked for: {', '.join(value.asked)}")
    differing = value.differing()
    blocks: list[Block] = [
        facts(
            ("original", Cell(value.original.id, link=value.original.path)),
            ("repeated", Cell(value.run.id, link=value.run.path)),
            ("verdict", Cell(verdict, _TONES.get(verdict, "plain"))),
            *(("asked for", one) for one in value.asked),
            ("dataset versions", _tally(value.outputs)),
            ("artifacts", _tally(value.artifacts)),
            ("outputs of cells", _tally(value.cells)),
        )
    ]
    if value.run.error is not None:
        blocks.append(Text(str(value.run.error), "bad"))
    if value.metrics:
        blocks += [Heading("Metrics"), _held(value.metrics, ("metric", "original", "repeated"), _metric)]
    for heading, held, show in (
        ("Parameters that differ", value.parameters, formats.parameter),
        ("Dataset versions that differ", value.outputs, _digest),
        ("Artifacts that differ", value.artifacts, _digest),
        ("Outputs of cells that differ", value.cells, _text),
    ):
        rows = [one for one in held if one in differing]
        if rows:
            blocks += [Heading(heading), _held(rows, ("what", "original", "repeated"), show)]
    blocks += _causes(value)
    if value.ignored:
        blocks.append(Text(f"Not compared: {'; '.join(value.ignored)}.", "muted"))
    blocks.append(
        Action(
            "runs compare",
            "Compare, cell by cell",
            {"a": value.original.id, "b": value.run.id},
            role="viewer",
        )
    )
    summary = " · ".join([title, *said])
    return View(title, summary, _TONES.get(verdict, "plain"), tuple(blocks), value.path)


def _causes(value: Reproduction) -> list[Block]:
    """Return what may be why: code and environment, said also where nothing differs."""
    blocks: list[Block] = []
    if value.code:
        blocks += [Heading("Code that differs"), _held(value.code, ("file", "original", "repeated"), _text)]
    if value.environment:
        blocks += [
            Heading("Environment that differs"),
            _held(value.environment, ("what", "original", "repeated"), formats.plain),
        ]
    if value.verdict == "differs" and not value.code and not value.environment and not value.asked:
        blocks.append(
            Text(
                "Code, data, parameters and environment are the same: what is left is chance (a seed that is "
                "not set, the order of threads or of sets), the clock, or what is read from outside.",
                "warning",
            )
        )
    return blocks


def made_blocks(run: Run) -> tuple[Block, ...]:
    """Return what made a run beside what it was given: code, environment, seeds, and how it was executed."""
    kernel = "" if run.warm is None else "warm" if run.warm else f"cold: {run.why_cold}".rstrip(": ")
    found, notes = _kept(run)
    repeats = run.repeats() if run.is_read else ()
    told = facts(
        ("notebook kept", _code(run.info.notebook_digest)),
        *found,
        ("seeds", ", ".join(f"{name} = {formats.parameter(one)}" for name, one in run.seeds.items())),
        ("executor", run.executor or ""),
        ("kernel", kernel),
        ("like", Cell(run.like, link=f"runs/{run.like}") if run.like else None),
        *(("executed again as", Cell(id, link=f"runs/{id}")) for id in repeats[:5]),
        ("", f"and {len(repeats) - 5} times more" if len(repeats) > 5 else ""),
    )
    if not told.rows:
        return ()
    return (Heading("What made it"), told, *(Text(note, "warning") for note in notes))


def _kept(run: Run) -> tuple[list[tuple[str, Cell | str | None]], list[str]]:
    """Return the facts about sources and environment, and what is not as it should be."""
    if not run.is_read:
        return [], []
    try:
        sources, environment = sorted(run.sources()), run.environment()
    except MLOpsError as error:
        return [], [f"what is kept of it cannot be read here: {error.message}"]
    shown = ", ".join(sources[:_MOST_FILES])
    if len(sources) > _MOST_FILES:
        shown += f" and {len(sources) - _MOST_FILES} more"
    known = environment.get("distributions", {})
    telling = [formats.count(len(known), "distribution")]
    telling += [f"{name} {known[name]}" for name in _TELLING if name in known]
    places = [environment.get("platform"), formats.count(environment.get("cpus"), "processor")]
    made: list[tuple[str, Cell | str | None]] = [
        ("sources kept", f"{formats.count(len(sources), 'file')}: {shown}" if sources else ""),
        (
            "code",
            "not kept: it came from no file" if run.kind == "tracked" and run.ended and not sources else "",
        ),
        (
            "interpreter",
            f"{environment.get('implementation', '')} {environment['python']}" if environment else "",
        ),
        ("machine", ", ".join(str(one) for one in places if one) if environment else ""),
        ("installed", ", ".join(telling) if known else ""),
        ("hash seed", environment.get("hash_seed") or _HASHING.get(environment.get("hashing", ""), "")),
    ]
    return made, list(environment.get("sources", {}).get("notes", ()))


def _held(rows: Sequence[Held], columns: tuple[str, str, str], show: Any) -> Table:
    made = [
        (
            one.name,
            show(one.original) if one.original is not None else "",
            show(one.repeated) if one.repeated is not None else "",
            Cell(f"{one.agreement}{f': {one.note}' if one.note else ''}", _TONES.get(one.agreement, "plain")),
        )
        for one in rows[:_MOST_ROWS]
    ]
    return table((*columns, ""), made, more=max(len(rows) - _MOST_ROWS, 0))


def _tally(held: Sequence[Held]) -> str:
    equal = sum(one.agreement == "equal" for one in held)
    if not held:
        return ""
    return "all equal" if equal == len(held) else f"{equal} of {len(held)} equal"


def _metric(value: float) -> str:
    # all digits: the last ones are the question
    return repr(value)


def _text(value: str) -> str:
    return value if len(value) <= 20 or not value.startswith("b3:") else formats.digest(value)


def _digest(value: str) -> Cell:
    return _code(value)


def _code(digest: str | None) -> Cell:
    return Cell(formats.digest(digest), "code") if digest else Cell("")
