"""Whatever filter and order is typed, both engines answer what plain Python answers over the same runs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_mlops.project import Project
from jupyter_mlops.runs import Run
from jupyter_mlops.runs.finding import selection as selections
from jupyter_mlops.runs.finding.finder import Finder

Truth = bool | None
Typed = tuple[str, Callable[[Run], Truth]]

NUMBERS = (-1.0, 0.0, 0.1, 0.5, 1.0, 3.0, math.inf)
TEXTS = ("l1", "L1_100%", "x'y\"z", "École d'été", "a_b", "1", "back\\slash", "")
METRICS = ("auc", "val loss", "f1")
PARAMETERS = ("C", "penalty", "deep", "layers")
TAGS = ("team", "note")
WORDS = ("l1", "ecole", "boost", "disk", "ful", "churn", "true", "nothing", "gradient")


@pytest.fixture
def history(project: Project) -> Project:
    """Thirty runs that have everything and lack everything, in turns."""
    for at in range(30):
        parameters: dict[str, Any] = {}
        if at % 5:
            parameters["C"] = (0.1, 1, 1.0, 3, "l1", True)[at % 6]
        if at % 3:
            parameters["penalty"] = (*TEXTS, None)[at % 9]
        if at % 4 == 1:
            parameters["deep"] = at % 8 == 1
        if at % 7 == 0:
            parameters["layers"] = [at, {"gradient": "boosting"}]
        with project.runs.start(("churn", "fraud", "École dete")[at % 3], parameters) as run:
            for place, name in enumerate(METRICS):
                if (at + place) % 3:
                    run.log_metric(name, (*NUMBERS, math.nan)[(at * 5 + place) % 8])
            if at % 2:
                run.set_tags({"team": TEXTS[at % 8], "note": f"n{at % 4}"})
            if at % 6 == 0:
                run.fail(RuntimeError("the disk is full"))
        if at % 4 == 0:
            project.runs.note(run.id, f"Gradient boosting, try {at % 3}")
    return project


def both_ways(operators: str, pick: Callable[[Run], Any], value: Any, shown: str) -> st.SearchStrategy[Typed]:
    """Return comparisons of what ``pick`` finds, which is None where it is missing."""

    def made(operator: str) -> Typed:
        def holds(run: Run) -> Truth:
            found = pick(run)
            if found is None:
                return None
            same = kind(found) == kind(value)
            if operator in ("=", "!="):
                return (same and found == value) == (operator == "=")
            if not same:
                return None
            return {"<": found < value, "<=": found <= value, ">": found > value, ">=": found >= value}[
                operator
            ]

        return operator, holds

    return (
        st.sampled_from(operators.split())
        .map(made)
        .map(lambda typed: (f"{shown} {typed[0]} {text(value)}", typed[1]))
    )


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else type(value).__name__


def text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "inf" if math.isinf(value) else repr(value)
    return "'" + value.replace("'", "''") + "'"


def metric(name: str) -> Callable[[Run], float | None]:
    return lambda run: None if math.isnan(run.metrics.get(name, math.nan)) else run.metrics[name]


def part(group: str, name: str) -> Callable[[Run], Any]:
    return lambda run: getattr(run, group).get(name)


def attribute(name: str) -> Callable[[Run], Any]:
    return lambda run: getattr(run, name) or None


def like(pick: Callable[[Run], Any], pattern: str) -> Callable[[Run], Truth]:
    def lowered(value: str) -> str:
        return "".join(letter.lower() if letter.isascii() else letter for letter in value)

    parts = (".*" if c == "%" else "." if c == "_" else re.escape(c) for c in lowered(pattern))
    wanted = re.compile("".join(parts), re.DOTALL)
    return lambda run: bool(wanted.fullmatch(lowered(found))) if isinstance(found := pick(run), str) else None


def words_of(run: Run) -> set[str]:
    said = [run.experiment, run.notebook or "", run.note]
    said += [
        f"{name} {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in run.parameters.items()
    ]
    said += [f"{name} {value}" for name, value in run.tags.items()]
    said += [f"{run.error.name} {run.error.message}"] if run.error else []
    plain = " ".join(said).lower().replace("é", "e")
    return set(re.findall(r"[^\W_]+", plain))


def matches(typed: Sequence[tuple[str, bool]]) -> Typed:
    def holds(run: Run) -> bool:
        known = words_of(run)
        return all(any(one.startswith(w) if star else one == w for one in known) for w, star in typed)

    shown = " ".join(word.capitalize() + "*" * star for word, star in typed)
    return f"text matches '{shown}'", holds


def missing(pick: Callable[[Run], Any], shown: str) -> st.SearchStrategy[Typed]:
    return st.sampled_from(
        [
            (f"{shown} is null", lambda run: pick(run) is None),
            (f"{shown} IS NOT NULL", lambda run: pick(run) is not None),
        ]
    )


def among(pick: Callable[[Run], Any], values: Sequence[Any], shown: str) -> st.SearchStrategy[Typed]:
    listed = ", ".join(text(value) for value in values)

    def holds(run: Run) -> Truth:
        found = pick(run)
        return None if found is None else any(kind(found) == kind(v) and found == v for v in values)

    return st.sampled_from(
        [(f"{shown} in ({listed})", holds), (f"{shown} not in ({listed})", lambda run: negated(holds(run)))]
    )


def negated(truth: Truth) -> Truth:
    return None if truth is None else not truth


def alike(pick: Callable[[Run], Any], pattern: str, shown: str) -> st.SearchStrategy[Typed]:
    holds = like(pick, pattern)
    return st.sampled_from(
        [
            (f"{shown} like {text(pattern)}", holds),
            (f"{shown} not like {text(pattern)}", lambda run: negated(holds(run))),
        ]
    )


ANY = "= != < <= > >="
PATTERNS = st.sampled_from(
    ["l%", "%1%", "_1", "%'%", '%"%', "%\\%", "éCOLE%", "École%", "~%", "%", "", "a_b", "%100%"]
)


def on_metric(name: str) -> st.SearchStrategy[Typed]:
    pick, shown = metric(name), f'metrics."{name}"'
    several = st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3)
    return st.one_of(
        st.sampled_from(NUMBERS).flatmap(lambda value: both_ways(ANY, pick, value, shown)),
        several.flatmap(lambda values: among(pick, values, shown)),
        missing(pick, shown),
    )


def on_parameter(name: str) -> st.SearchStrategy[Typed]:
    pick, shown = part("parameters", name), f"parameters.{name}"
    values: st.SearchStrategy[Any] = st.sampled_from([*NUMBERS[:-1], "l1", *TEXTS[1:5], True, False])
    return st.one_of(
        st.sampled_from(NUMBERS).flatmap(lambda value: both_ways(ANY, pick, value, shown)),
        values.flatmap(lambda value: both_ways("= !=", pick, value, shown)),
        st.lists(values, min_size=1, max_size=3).flatmap(lambda values: among(pick, values, shown)),
        PATTERNS.flatmap(lambda pattern: alike(pick, pattern, shown)),
        missing(pick, shown),
    )


def on_text(pick: Callable[[Run], Any], shown: str, values: Sequence[str]) -> st.SearchStrategy[Typed]:
    return st.one_of(
        st.sampled_from(values).flatmap(lambda value: both_ways("= !=", pick, value, shown)),
        st.lists(st.sampled_from(values), min_size=1, max_size=3).flatmap(lambda v: among(pick, v, shown)),
        PATTERNS.flatmap(lambda pattern: alike(pick, pattern, shown)),
        missing(pick, shown),
    )


def on_number(name: str, values: Sequence[float]) -> st.SearchStrategy[Typed]:
    return st.sampled_from(values).flatmap(
        lambda value: both_ways(ANY, lambda run: getattr(run, name), value, name)
    )


LEAVES = st.one_of(
    st.sampled_from(METRICS).flatmap(on_metric),
    # of the other two, no run has a number: asked for one, they are refused
    on_parameter("C"),
    on_text(part("parameters", "penalty"), "parameters.penalty", [t for t in TEXTS if t != "1"]),
    on_text(part("tags", "team"), "tags.team", TEXTS),
    on_text(part("tags", "note"), "tag.note", ["n1", "n2", "none"]),
    on_text(attribute("experiment"), "experiment", ["churn", "fraud", "École dete", "x"]),
    on_text(attribute("status"), "attributes.status", ["finished", "failed", "running"]),
    on_text(attribute("note"), "note", ["Gradient boosting, try 1", "x"]),
    missing(attribute("notebook"), "notebook"),
    on_number("number", [1.0, 7.5, 15.0, 30.0]),
    on_number("duration", [-1.0, 0.0, 1e9]),
    st.lists(st.tuples(st.sampled_from(WORDS), st.booleans()), min_size=1, max_size=2).map(matches),
)


def joined(parts: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def conjunction(typed: list[Typed]) -> Typed:
        def holds(run: Run) -> Truth:
            truths = [each(run) for _, each in typed]
            return False if False in truths else None if None in truths else True

        return "(" + " and ".join(shown for shown, _ in typed) + ")", holds

    def disjunction(typed: list[Typed]) -> Typed:
        def holds(run: Run) -> Truth:
            truths = [each(run) for _, each in typed]
            return True if True in truths else None if None in truths else False

        return "(" + " OR ".join(shown for shown, _ in typed) + ")", holds

    several = st.lists(parts, min_size=2, max_size=3)
    return st.one_of(
        several.map(conjunction),
        several.map(disjunction),
        parts.map(lambda typed: (f"not ({typed[0]})", lambda run: negated(typed[1](run)))),
    )


FILTERS = st.one_of(st.just(("", lambda run: True)), st.recursive(LEAVES, joined, max_leaves=5))
Ranks = Callable[[Run], tuple[int, Any] | None]


def ranks(name: str, pick: Callable[[Run], Any]) -> tuple[str, Ranks]:
    def rank(run: Run) -> tuple[int, Any] | None:
        value = pick(run)
        if value is None:
            return None
        if name.startswith("param") and kind(value) != "number":
            return 1, json.dumps(value, ensure_ascii=False).encode()
        if kind(value) == "number":
            return 0, (value, json.dumps(value) if name.startswith("param") else "")
        return 0, value.encode()

    return name, rank


KEYS = [
    ranks("metrics.auc", metric("auc")),
    ranks("metric.`val loss`", metric("val loss")),
    ranks("params.C", part("parameters", "C")),
    ranks("parameters.penalty", part("parameters", "penalty")),
    ranks("tags.team", part("tags", "team")),
    ranks("experiment", attribute("experiment")),
    ranks("status", attribute("status")),
    ranks("note", attribute("note")),
    ranks("started_at", attribute("started_at")),
    ranks("duration", lambda run: run.duration),
]


def ordered(runs: Sequence[Run], keys: Sequence[tuple[tuple[str, Ranks], bool]]) -> list[Run]:
    found = sorted(runs, key=lambda run: -run.number)
    for (_, rank), down in reversed(keys):
        have = [run for run in found if rank(run) is not None]
        lack = [run for run in found if rank(run) is None]
        groups = [[run for run in have if (rank(run) or (0,))[0] == group] for group in (0, 1)]
        found = []
        for group in groups:
            found += sorted(group, key=lambda run: (rank(run) or (0, 0))[1], reverse=down)
        found += lack
    return found


def test_every_filter_and_order_answers_what_python_does(history: Project, monkeypatch: Any) -> None:
    everything = tuple(history.runs.search(limit=None))
    assert len(everything) == 30
    numbers = {"told": 30}
    monkeypatch.setattr(Finder, "_numbers", lambda self: numbers["told"])
    monkeypatch.setattr(selections, "_FEW_RUNS", 2)
    keys = st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=3)

    @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
    @given(FILTERS, keys, st.sampled_from([None, 0, 1, 4, 50]), st.sampled_from([1, 30, 1_000_000]))
    def agrees(typed: Typed, keys: list[Any], limit: int | None, told: int) -> None:
        where, holds = typed
        numbers["told"] = told  # whether it walks along the order or takes the filter's index
        order = [f"{name} {'desc' if down else 'ASC'}" for (name, _), down in keys]
        found = [run.id for run in history.runs.search(where, order, limit)]
        wanted = ordered([run for run in everything if holds(run) is True], keys)
        assert found == [run.id for run in wanted][:limit]

    agrees()
