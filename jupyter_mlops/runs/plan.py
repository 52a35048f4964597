"""The plan of a sweep: notebook, resolved inputs and every parameter set, settled before anything starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets import Datasets, DatasetVersion
from ..errors import BadInput
from .notebook import UNKNOWN, Notebook, Parameter
from .parameters import Grid, check_known, combinations, read_grid, typed
from .plain import checked_name


@dataclass(frozen=True, slots=True)
class FixedInput:
    """A dataset version that a run reads under a name, and the ref by which it was asked for."""

    asked: str
    ref: str
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to execute. ``given`` is injected into every run, one combination of ``grid`` on top of it."""

    notebook: Notebook
    folder: str
    given: Mapping[str, Any]
    grid: Grid
    inputs: Mapping[str, FixedInput]
    workers: int
    like: str | None = None  # the run that is executed again, with its kept sources

    def sets(self) -> list[dict[str, Any]]:
        """Return the parameters that are injected into each run, in order."""
        return [{**self.given, **combination} for combination in combinations(self.grid)]

    def effective(self, injected: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as the run will see them: the declared defaults under the injected ones."""
        return {**self.notebook.defaults(), **injected}

    def inputs_of(self, injected: Mapping[str, Any]) -> dict[str, FixedInput]:
        """Return the inputs of the run that gets ``injected``: a dataset of the grid differs by run."""
        tried = {name for name, _ in self.grid}
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
                "grid": self.grid,
                "inputs": {key: [i.asked, i.ref, i.digest] for key, i in self.inputs.items()},
                "workers": self.workers,
                "like": self.like,
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_request(cls, text: str, notebook: Notebook) -> Plan:
        """Return the plan that ``request`` described."""
        document = json.loads(text)
        return cls(
            notebook,
            document["folder"],
            document["given"],
            tuple((name, tuple(values)) for name, values in document["grid"]),
            cls.inputs_from(text),
            document["workers"],
            document.get("like"),
        )

    @staticmethod
    def inputs_from(request: str) -> dict[str, FixedInput]:
        """Return the inputs that ``request`` holds."""
        return {key: FixedInput(*values) for key, values in json.loads(request)["inputs"].items()}


def planned(
    notebook: Notebook,
    folder: str,
    datasets: Datasets,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    grid: Mapping[str, Any] | None,
    workers: int,
) -> Plan:
    """Read what is given by what the notebook declares, and resolve each dataset ref once, for all runs."""
    check_known(notebook, [*parameters, *(grid or {})])
    declared = notebook.parameters or {}
    for name in {*parameters, *inputs, *(grid or {})}:
        if sum(name in place for place in (parameters, inputs, grid or {})) > 1:
            raise BadInput(f"'{name}' is given twice", "give it as parameter, as input, or in the grid")
    resolver = _Resolver(datasets)
    fixed = resolve_inputs(resolver, inputs)
    given = {name: typed(declared[name], value) for name, value in parameters.items()}
    spread: list[tuple[str, tuple[Any, ...]]] = list(read_grid(notebook, grid))
    for name, found in fixed.items():
        if name in declared:
            given[name] = found.ref
    for parameter in declared.values():
        if parameter.dataset and parameter.name not in fixed:
            _resolve_marked(resolver, parameter, given, spread, fixed)
    return Plan(notebook, folder, given, tuple(spread), fixed, workers)


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
    fixed: dict[str, FixedInput],
) -> None:
    """Replace the refs of a parameter marked ``# dataset`` by the versions they stand for now."""
    name = parameter.name
    for position, (tried, values) in enumerate(spread):
        if tried == name:
            versions = [resolver.resolve(value) if isinstance(value, str) else value for value in values]
            refs = tuple(v.ref if isinstance(v, FixedInput) else v for v in versions)
            if len(set(refs)) < len(refs):
                raise BadInput(f"grid {name} has one version twice: {', '.join(map(str, refs))}")
            spread[position] = (name, refs)
            # one name, several versions: told apart by a line break, which no name holds
            fixed |= {f"{name}\n{v.ref}": v for v in versions if isinstance(v, FixedInput)}
            return
    value = given.get(name, parameter.default)
    if isinstance(value, str) and value is not UNKNOWN:
        fixed[name] = resolver.resolve(value)
        given[name] = fixed[name].ref


def folder_of(path: Path, root: Path) -> str:
    """Return the folder in which the kernel runs: relative to the project if it lies there, else absolute."""
    return path.parent.relative_to(root).as_posix() if path.is_relative_to(root) else str(path.parent)
