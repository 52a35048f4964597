"""Parameter sets are found by grid, list, chance or Optuna; what is queued says which."""

from __future__ import annotations

import itertools
import math
import os
import pty
import subprocess
import sys
import threading
from random import Random
from typing import Any

import pytest

from jupyter_mlops.errors import BadInput, Conflict
from jupyter_mlops.runs.sweeps.pruning import is_hopeless
from jupyter_mlops.runs.sweeps.space import Choice, Range
from jupyter_mlops.runs.sweeps.strategy import Strategy, Trial

from .conftest import WriteNotebook, commit_customers, verbs

DECLARED = (
    'C: float = 1.0\nn = 3\npenalty = "l2"\ndeep = False\ncode: str = "x"\ndata = "customers"  # dataset'
)


@pytest.fixture
def queued(make_project, write_notebook: WriteNotebook) -> Any:
    """Queue a sweep and return the parameters of its runs: nothing is executed."""
    project = make_project()
    commit_customers(project, 2)
    notebook = write_notebook(project.root / "n.ipynb", DECLARED, "print(C)")

    def queue(*names: str, **request: Any) -> list[Any]:
        runs = project.runs.execute(notebook, wait=False, **request)
        assert {run.status for run in runs} <= {"queued"}
        rows = [tuple(run.parameters[name] for name in names) for run in runs]
        return [row[0] for row in rows] if len(names) == 1 else rows

    queue.project, queue.notebook = project, notebook  # type: ignore[attr-defined]
    return queue


def test_the_same_seed_draws_the_same_sets_and_another_one_others(queued) -> None:
    request = {"space": {"C": (0.01, 10, "log"), "n": (1, 5), "penalty": ["l1", "l2"]}, "search": "random"}
    first = queued("C", "n", "penalty", trials=40, seed=7, **request)
    assert queued("C", "n", "penalty", trials=40, seed=7, **request) == first
    assert queued("C", "n", "penalty", trials=40, seed=8, **request) != first
    assert queued("C", "n", "penalty", trials=40, **request) != queued(
        "C", "n", "penalty", trials=40, **request
    )
    assert queued("C", "n", "penalty", trials=20, seed=7, **request) == first[:20]  # a longer search goes on
    assert all(0.01 <= c <= 10 for c, _, _ in first)
    assert sum(c < 0.1 for c, _, _ in first) > 5  # every order of magnitude gets its share
    assert {n for _, n, _ in first} == {1, 2, 3, 4, 5}
    assert all(isinstance(n, int) and isinstance(c, float) for c, n, _ in first)
    assert {penalty for _, _, penalty in first} == {"l1", "l2"}


def test_a_random_search_in_a_grid_tries_no_set_twice(queued) -> None:
    drawn = queued(
        "n", "deep", grid={"n": range(10), "deep": [True, False]}, search="random", trials=15, seed=1
    )
    assert len(set(drawn)) == 15
    every = queued(
        "n", "deep", grid={"n": range(10), "deep": [True, False]}, search="random", trials=99, seed=1
    )
    assert len(every) == len(set(every)) == 20
    assert every[:15] == drawn


def test_a_space_is_written_as_on_the_command_line(queued) -> None:
    space = {"C": "0.1:10:log", "n": "1:3", "penalty": "l1,l2", "code": "a:b", "deep": "yes,no"}
    drawn = queued("C", "n", "penalty", "code", "deep", space=space, search="random", trials=30, seed=3)
    assert {(n, penalty, deep) for _, n, penalty, _, deep in drawn} <= {
        (n, p, d) for n in (1, 2, 3) for p in ("l1", "l2") for d in (True, False)
    }
    assert {code for _, _, _, code, _ in drawn} == {"a:b"}
    choices = queued(
        "n", "penalty", space={"n": [1, 2], "penalty": "l1,l2"}
    )  # no ranges: a grid can try it all
    assert choices == [(1, "l1"), (1, "l2"), (2, "l1"), (2, "l2")]


def test_a_list_of_sets_is_tried_as_it_is(queued) -> None:
    commit_customers(queued.project, 5)
    sets = [{"n": "1", "data": "customers@v1"}, {"C": 2}, {"n": 4, "data": "customers@latest"}]
    expected = [(1, 1.0, "customers@v1"), (3, 2.0, "customers@v2"), (4, 1.0, "customers@v2")]
    assert queued("n", "C", "data", search=sets) == expected
    assert queued("n", "C", "data", grid=sets) == expected
    assert queued("n", "C", "data", grid=sets, search="list") == expected
    runs = queued.project.runs.search(order_by="created_at", limit=3)
    assert [run.inputs for run in runs] == [{"data": run.parameters["data"]} for run in runs]


@pytest.mark.parametrize(
    ("request_", "message", "hint"),
    [
        ({"grid": {"n": range(100), "C": range(100)}}, "these are 10,000 runs", "--yes (confirm=True)"),
        (
            {"grid": {"n": range(100_000), "C": range(10_000)}, "confirm": True},
            "these are 1,000,000,000 runs, and 100,000 are the most",
            "search='random'",
        ),
        ({"space": {"C": (0, 1)}}, "C is a range, which no grid can try in full", "search='random'"),
        (
            {"space": {"C": (0, 1)}, "search": "random"},
            "a random search needs a number of trials",
            "trials=20",
        ),
        ({"space": {"C": (0, 1)}, "search": "random", "trials": 0}, "trials, not 0", ""),
        ({"search": "random", "trials": 3}, "nothing to draw from", "space="),
        ({"grid": {"n": [1]}, "trials": 3}, "a grid search has no trials", ""),
        ({"grid": {"n": [1]}, "seed": 3}, "a grid search has no seed", ""),
        ({"space": {"C": (1, 0.5)}, "search": "random", "trials": 3}, "C goes from 1 to 0.5", "smaller"),
        ({"space": {"C": "0:1:log"}, "search": "random", "trials": 3}, "begins at 0", "above 0"),
        ({"space": {"C": "0:1:2:3"}, "search": "random", "trials": 3}, "no range", "LOW:HIGH"),
        ({"space": {"C": "a:b"}, "search": "random", "trials": 3}, "C is a number; 'a' is not", ""),
        ({"space": {"C": "0:inf"}, "search": "random", "trials": 3}, "no range of numbers", ""),
        ({"space": {"penalty": (1, 2)}, "search": "random", "trials": 3}, "penalty is no number", ""),
        ({"space": {"C": 3}, "search": "random", "trials": 3}, "space C is 3", "LOW:HIGH"),
        (
            {"space": {"D": (0, 1)}, "search": "random", "trials": 3},
            "declares no parameter 'D'",
            "it declares C, n",
        ),
        ({"space": {"C": (0, 1)}, "search": "optuna", "trials": 3}, "needs to know what is good", "maximize"),
        ({"space": {"C": (0, 1)}, "search": "optnua", "trials": 3}, "no search 'optnua'", "optuna"),
        ({"space": {"C": (0, 1)}, "grid": {"C": [1]}}, "'C' is given twice", "grid or in the space"),
        ({"space": {"C": (0, 1)}, "search": "random", "trials": 3, "seed": -1}, "seed is -1", ""),
        ({"search": []}, "the list has no parameter sets", ""),
        ({"search": [{"m": 1}]}, "declares no parameter 'm'", ""),
        ({"search": [{"n": 1}], "grid": {"C": [1]}}, "a list search has no grid", ""),
        ({"grid": [{"n": 1}], "search": "random"}, "draws from values by name", ""),
        ({"limit": "soon"}, "'soon' is no length of time", "15m"),
        ({"grid": {"n": range(10**9)}, "confirm": True}, "grid n has 1,000,000,000 values", "random"),
        ({"grid": {"n": itertools.count()}}, "grid n has more than 100,000 values", "random"),
        ({"limit": 0}, "limit is 0", "10m"),
        ({"retries": -1}, "retries must be a number from 0", ""),
        ({"executor": "dsk"}, "there is no executor 'dsk'", ""),
        ({"prune": True}, "hopeless by which metric?", "maximize"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(queued, request_: dict, message: str, hint: str) -> None:
    before = len(list(queued.project.events()))
    with pytest.raises(BadInput) as caught:
        queued("n", **request_)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert len(list(queued.project.events())) == before


def test_more_than_a_thousand_runs_are_queued_when_somebody_confirms(queued) -> None:
    runs = queued("n", grid={"n": range(1200)}, confirm=True)
    assert runs == list(range(1200))
    project = queued.project
    (sweep,) = project.runs.sweeps()
    assert (sweep.size, sweep.status, sweep.search, sweep.detached) == (1200, "running", "grid", True)
    assert verbs(project, f"sweep:{sweep.id}") == ["sweep.started"]  # one fact, not one a run
    with pytest.raises(Conflict, match="is in the queue, for `mlops worker`"):
        project.runs.resume(sweep)
    stopped = project.runs.stop(sweep, "enough")
    assert {run.status for run in stopped} == {"stopped"}
    assert {run.reason for run in stopped} == {"enough"}


def test_a_queue_is_taken_up_run_by_run_and_each_by_one_alone(queued) -> None:
    project = queued.project
    queued("n", grid={"n": range(60)})
    (sweep,) = project.runs.sweeps()
    roster = project.runs._launch._roster  # what a worker uses
    plan = Strategy("grid", (("n", Choice(tuple(range(60)))),))
    taken: list[tuple[str, Any]] = []

    def work() -> None:
        while member := roster.take(sweep.id, plan):
            taken.append((member.id, member.injected["n"]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len({id for id, _ in taken}) == 60
    assert sorted(n for _, n in taken) == list(range(60))


AXES = (("x", Range(0.0, 10.0)), ("n", Range(1, 4, whole=True)), ("k", Choice((True, 1, "a", [1, 2], None))))


def searched(trials: int, interrupted_at: int = 10**9) -> list[Trial]:
    """Run a search whose values are a function of the sets."""
    strategy = Strategy("optuna", AXES, (), trials, seed=5)
    done: list[Trial] = []
    while len(done) < trials:
        if len(done) == interrupted_at:
            strategy, done = Strategy.from_json(strategy.to_json()), list(done)
        drawn = strategy.next(done, "maximize")
        value = -((drawn["x"] - 3) ** 2) - abs(drawn["n"] - 2) - (drawn["k"] != "a")
        state = {7: "failed", 9: "pruned"}.get(len(done), "finished")
        done.append(Trial(drawn, state, None if state == "failed" else value, {0: value}))
    return done


def test_optuna_learns_and_what_it_asks_next_depends_on_the_record_alone() -> None:
    done = searched(40)
    assert searched(40, interrupted_at=17) == done  # in another process it goes on as if nothing had happened
    values = [trial.value for trial in done if trial.value is not None]
    assert max(values[20:]) > max(values[:8])
    assert sum(abs(trial.drawn["x"] - 3) < 2 for trial in done[25:]) > 8  # by chance it were six
    assert {type(trial.drawn["n"]) for trial in done} == {int}
    assert {repr(trial.drawn["k"]) for trial in done} == {"True", "1", "'a'", "[1, 2]", "None"}


def test_a_trial_that_still_runs_or_gave_nothing_does_not_stop_the_search() -> None:
    strategy = Strategy("optuna", AXES, (), 50, seed=1)
    drawn = strategy.next([], "minimize")
    trials = [
        Trial(drawn, "running"),
        Trial(drawn, "finished", math.nan),
        Trial(drawn, "finished", None),
        Trial(drawn, "failed"),
        Trial(drawn, "pruned", 3.0, {0: 1.0, 5: 3.0}),
        Trial(drawn, "stopped"),
    ]
    assert set(strategy.next(trials, "minimize")) == {"x", "n", "k"}


def test_without_optuna_the_command_that_installs_it_is_named(
    queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_mlops.runs.sweeps.optuna_search.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"Optuna is not installed — pip install 'jupyter-mlops\[optuna\]'"):
        queued("C", space={"C": (0, 1)}, search="optuna", trials=3, maximize="auc")
    assert queued("n", grid={"n": [1]}, maximize="auc") == [1]  # nothing else needs it


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")  # of numpy, where Optuna asks it
@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_hopeless_is_what_optuna_calls_hopeless(goal: str) -> None:
    import optuna
    from optuna.trial import TrialState, create_trial

    chance = Random(3)

    def course(length: int) -> list[float]:
        return [chance.choice([chance.gauss(0, 1), math.nan, 0.0]) for _ in range(length)]

    verdicts = []
    for _ in range(200):
        study = optuna.create_study(direction=goal)  # type: ignore[arg-type]
        others = [course(chance.randint(1, 4)) for _ in range(6)]
        for each in others:
            study.add_trial(create_trial(value=1.0, intermediate_values=dict(enumerate(each))))
        mine = course(chance.randint(1, 4))
        running = create_trial(state=TrialState.RUNNING, intermediate_values=dict(enumerate(mine)))
        expected = optuna.pruners.MedianPruner(n_startup_trials=5).prune(study, running)
        last = len(mine) - 1
        verdicts.append(is_hopeless(mine, [each[last] for each in others if last < len(each)], goal))
        assert verdicts[-1] == expected, (mine, others)
    assert True in verdicts
    assert False in verdicts


def test_thousands_of_runs_are_asked_about_on_the_command_line(queued) -> None:
    many = f"n={','.join(map(str, range(1001)))}"
    words = [sys.executable, "-m", "jupyter_mlops", "run", str(queued.notebook), "--grid", many, "--detach"]
    words += ["--project", str(queued.project.root)]
    environment = {**os.environ, "MLOPS_ACTOR": "ann@example.com"}

    def answered(answer: bytes) -> tuple[int, str]:
        screen, terminal = pty.openpty()
        os.write(screen, answer)
        done = subprocess.run(words, stdin=terminal, capture_output=True, text=True, env=environment)
        os.close(terminal)
        os.close(screen)
        return done.returncode, done.stderr

    refused = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    assert refused.returncode == 2
    assert "these are 1,001 runs — --yes (confirm=True) executes them all" in refused.stderr
    status, told = answered(b"n\n")
    assert status == 1
    assert "these are 1,001 runs: execute them all? [y/N]" in told
    assert told.endswith("mlops: nothing was started\n")
    assert len(queued.project.runs.search()) == 0
    assert answered(b"y\n")[0] == 0
    assert subprocess.run([*words, "--yes"], stdin=subprocess.DEVNULL, env=environment).returncode == 0
    assert [sweep.size for sweep in queued.project.runs.sweeps()] == [1001, 1001]


def test_a_sweep_of_an_older_store_can_be_read(queued) -> None:
    from jupyter_mlops.runs.execution.notebook import read_notebook
    from jupyter_mlops.runs.sweeps.plan import Plan

    notebook = read_notebook(queued.notebook, "n.ipynb")
    text = '{"folder": ".", "given": {"C": 2.0}, "grid": [["n", [1, 2]]], "inputs": {}, "workers": 2}'
    plan = Plan.from_request(text, notebook)
    assert list(plan.known()) == [{"C": 2.0, "n": 1}, {"C": 2.0, "n": 2}]
    assert Plan.from_request(plan.request(), notebook) == plan
