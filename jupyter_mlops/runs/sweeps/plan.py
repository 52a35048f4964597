"""The plan of a sweep: notebook, resolved inputs and every parameter set, settled before anything starts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...datasets import Datasets, DatasetVersion
from ...errors import BadInput, close_matches
from ..execution.executor import LOCAL
from ..execution.notebook import UNKNOWN, Notebook, Parameter
from ..plain import checked_name
from .parameters import check_known, read_grid, typed
from .space import Axis, Choice, read_space
from .strategy import KINDS, Strategy, strategy_of


@dataclass(frozen=True, slots=True)
class FixedInput:
    """A dataset version that a run reads under a name, and the ref by which it was asked for."""

    asked: str
    ref: str
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to execute. ``given`` is injected into every run, one set of ``strategy`` on top of it.

    ``seconds`` is the time limit of each run, ``retries`` how often one is tried again whose kernel died.
    """

    notebook: Notebook
    folder: str
    given: Mapping[str, Any]
    strategy: Strategy
    inputs: Mapping[str, FixedInput]
    workers: int
    like: str | None = None  # the run that is executed again, with its kept sources
    executor: str = LOCAL
    cold: bool = False
    seconds: float | None = None
    retries: int = 1
    metric: str | None = None
    goal: str | None = None
    pruner: str | None = None
    prune_after: int = 0

    def known(self) -> Iterator[dict[str, Any]]:
        """Yield what is injected into each run whose set is known before anything is executed, in order."""
        return ({**self.given, **each} for each in self.strategy.known())

    def effective(self, injected: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as the run will see them: the declared defaults under the injected ones."""
        return {**self.notebook.defaults(), **injected}

    def inputs_of(self, injected: Mapping[str, Any]) -> dict[str, FixedInput]:
        """Return the inputs of the run that gets ``injected``: a dataset that is tried differs by run."""
        tried = set(self.strategy.names)
        by_ref = {fixed.ref: fixed for fixed in self.inputs.values()}
        found = {}
        for key, fixed in self.inputs.items():
            name = key.partition("\n")[0]
            if name not in tried:
                found[name] = fixed
            elif (value := injected.get(name)) in by_ref:
                found[name] = by_ref[value]
        return found

    def request(self) -> str:
        """Return what must be remembered, beside the notebook's bytes, to execute the plan again."""
        return json.dumps(
            {
                "folder": self.folder,
                "given": self.given,
                "strategy": self.strategy.to_json(),
                "inputs": {key: [i.asked, i.ref, i.digest] for key, i in self.inputs.items()},
                **{name: getattr(self, name) for name in _REMEMBERED},
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_request(cls, text: str, notebook: Notebook) -> Plan:
        """Return the plan that ``request`` described."""
        document = json.loads(text)
        if "grid" in document:  # as sweeps were remembered when there were no others
            axes = tuple((name, Choice(tuple(values))) for name, values in document["grid"])
            strategy = Strategy("grid", axes)
        else:
            strategy = Strategy.from_json(document["strategy"])
        more = {name: document[name] for name in _REMEMBERED if name in document}
        return cls(notebook, document["folder"], document["given"], strategy, cls.inputs_from(text), **more)

    @staticmethod
    def inputs_from(request: str) -> dict[str, FixedInput]:
        """Return the inputs that ``request`` holds."""
        return {key: FixedInput(*values) for key, values in json.loads(request)["inputs"].items()}


_REMEMBERED = (
    "workers",
    "like",
    "executor",
    "cold",
    "seconds",
    "retries",
    "metric",
    "goal",
    "pruner",
    "prune_after",
)


@dataclass(frozen=True, slots=True)
class Sought:
    """How parameter sets are to be found, as somebody asked for it."""

    grid: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    space: Mapping[str, Any] | None = None
    search: str | Sequence[Mapping[str, Any]] = "grid"
    trials: int | None = None
    seed: int | None = None


def workers_of(request: str) -> int:
    """Return how many runs of a remembered plan may execute at a time."""
    return int(json.loads(request)["workers"])


def planned(
    notebook: Notebook,
    folder: str,
    datasets: Datasets,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    sought: Sought,
    workers: int,
) -> Plan:
    """Read what is given by what the notebook declares, and resolve each dataset ref once, for all runs."""
    kind, grid, sets = _kind(sought)
    space = sought.space or {}
    listed = dict.fromkeys(name for each in sets for name in each)
    check_known(notebook, [*parameters, *grid, *space, *listed])
    declared = notebook.parameters or {}
    places: tuple[tuple[str, Iterable[str]], ...] = (
        ("as parameter", parameters),
        ("as input", inputs),
        ("in the grid", grid),
        ("in the space", space),
        ("in the list", listed),
    )
    for name in dict.fromkeys(name for _, place in places for name in place):
        where = [word for word, place in places if name in place]
        if len(where) > 1:
            raise BadInput(f"'{name}' is given twice", f"give it {' or '.join(where)}")
    resolver = _Resolver(datasets)
    fixed = resolve_inputs(resolver, inputs)
    given = {name: typed(declared[name], value) for name, value in parameters.items()}
    spread: list[tuple[str, tuple[Any, ...]]] = list(read_grid(notebook, grid))
    ranges: list[tuple[str, Axis]] = []
    for name, axis in read_space(declared, space):
        if isinstance(axis, Choice):
            spread.append((name, axis.values))
        else:
            ranges.append((name, axis))
    tried = [{name: typed(declared[name], value) for name, value in each.items()} for each in sets]
    for name, found in fixed.items():
        if name in declared:
            given[name] = found.ref
    for parameter in declared.values():
        if parameter.dataset and parameter.name not in fixed:
            _resolve_marked(resolver, parameter, given, spread, tried, fixed)
    axes = (*((name, Choice(values)) for name, values in spread), *ranges)
    strategy = strategy_of(kind, axes, tried, sought.trials, sought.seed)
    return Plan(notebook, folder, given, strategy, fixed, workers)


def _kind(sought: Sought) -> tuple[str, Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    """Return the kind of search, the grid, and the list of parameter sets, whichever way they were given."""
    search, grid = sought.search, sought.grid or {}
    sets: Sequence[Mapping[str, Any]] = ()
    if not isinstance(search, str):
        sets, search = search, "list"
    if not isinstance(grid, Mapping):
        if search not in ("grid", "list"):
            raise BadInput(
                f"a {search} search draws from values by name", "give the grid as names with values"
            )
        sets, search, grid = grid, "list", {}
    if search not in KINDS:
        raise BadInput(
            f"there is no search '{search}'", close_matches(search, KINDS, f"there are {', '.join(KINDS)}")
        )
    if search == "list":
        if not all(isinstance(each, Mapping) for each in sets):
            raise BadInput("a list search tries parameter sets", 'give a list such as [{"C": 1}, {"C": 10}]')
        if grid or sought.space:
            raise BadInput("a list search has no grid and no space", "say all of it in the list")
        if not sets:
            raise BadInput("the list has no parameter sets", "give at least one")
    return search, grid, sets


class _Resolver:
    """Remembers what each ref stood for, so that an alias that moves meanwhile is one version in all runs."""

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets
        self._known: dict[str, FixedInput] = {}

    def resolve(self, given: Any) -> FixedInput:
        asked = given.ref if isinstance(given, DatasetVersion) else given
        if not isinstance(asked, str):
            raise BadInput(
                f"a {type(given).__name__} cannot be an input", "give a ref such as customers@latest"
            )
        if asked not in self._known:
            version = self._datasets.get(asked)
            self._known[asked] = FixedInput(asked, version.ref, version.digest)
        return self._known[asked]


def resolve_inputs(resolver: _Resolver | Datasets, inputs: Mapping[str, Any]) -> dict[str, FixedInput]:
    """Return the version that each input stands for now."""
    if isinstance(resolver, Datasets):
        resolver = _Resolver(resolver)
    return {checked_name(name, "an input"): resolver.resolve(ref) for name, ref in inputs.items()}


def _resolve_marked(
    resolver: _Resolver,
    parameter: Parameter,
    given: dict[str, Any],
    spread: list[tuple[str, tuple[Any, ...]]],
    tried: list[dict[str, Any]],
    fixed: dict[str, FixedInput],
) -> None:
    """Replace the refs of a parameter marked ``# dataset`` by the versions they stand for now."""
    name = parameter.name
    # one name, several versions: told apart by a line break, which no name holds
    for position, (spread_over, values) in enumerate(spread):
        if spread_over == name:
            versions = [resolver.resolve(value) if isinstance(value, str) else value for value in values]
            refs = tuple(v.ref if isinstance(v, FixedInput) else v for v in versions)
            if len(set(refs)) < len(refs):
                raise BadInput(f"grid {name} has one version twice: {', '.join(map(str, refs))}")
            spread[position] = (name, refs)
            fixed |= {f"{name}\n{v.ref}": v for v in versions if isinstance(v, FixedInput)}
            return
    value = given.get(name, parameter.default)
    if any(name in each for each in tried):
        for each in tried:
            if isinstance(asked := each.get(name, value), str) and asked is not UNKNOWN:
                version = resolver.resolve(asked)
                each[name] = version.ref
                fixed[f"{name}\n{version.ref}"] = version
        return
    if isinstance(value, str) and value is not UNKNOWN:
        fixed[name] = resolver.resolve(value)
        given[name] = fixed[name].ref


def folder_of(path: Path, root: Path) -> str:
    """Return the folder in which the kernel runs: relative to the project if it lies there, else absolute."""
    return path.parent.relative_to(root).as_posix() if path.is_relative_to(root) else str(path.parent)
