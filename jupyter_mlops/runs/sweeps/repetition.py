"""Repetition: plans the execution of a run once more, with what was kept of it. Used by ``Launch``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...datasets import Datasets
from ...errors import BadInput, Conflict, MLOpsError, NotFound
from ...objects import Objects
from ...store import Store
from ..comparing.reproduction import TOLERANCE, Reproduction, held_against
from ..execution.notebook import Notebook, check_kernel, find_notebook, parse_notebook, read_notebook
from ..finding.finder import Finder
from ..run import Run
from ..shelf import Shelf
from ..tracking.imports import Imported
from .parameters import check_known, typed
from .plan import FixedInput, Plan, folder_of, resolve_inputs
from .strategy import Strategy


class Repetition:
    """Knows what a run was made of, well enough to make it again, and to hold the two against each other."""

    def __init__(
        self, store: Store, objects: Objects, datasets: Datasets, root: Path, shelf: Shelf, finder: Finder
    ) -> None:
        self._store = store
        self._objects = objects
        self._datasets = datasets
        self._root = root
        self._shelf = shelf
        self._finder = finder

    def planned(
        self,
        ref: str | Run,
        notebook: str | Path | None,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Any],
    ) -> tuple[Run, Plan]:
        """Return a run and the plan to execute it again, with ``parameters`` and ``inputs`` over its own.

        Raises one error for whatever of it is gone: notebook, folder, kernel, or a version of its data.
        """
        run = self._finder.get(ref)
        if not run.ended:
            raise Conflict(f"run {run.id} is {run.status}", "execute it again when it has ended")
        if run.info.notebook_digest is None:
            raise BadInput(
                f"run {run.id} was recorded while code ran by hand: no notebook of it is kept",
                f"run its code again, `mlops runs show {run.id}` says what is kept of it; "
                "what `mlops run NOTEBOOK` executed can be repeated",
            )
        request = self._request(run)
        read, folder = self._notebook(run, notebook, request.get("folder", "."))
        injected = self._injected(run, read)
        check_known(read, parameters)
        declared = read.parameters or {}
        twice = next((name for name in parameters if name in inputs), None)
        if twice is not None:
            raise BadInput(f"'{twice}' is given twice", "give it as parameter or as input")
        given = {**injected, **{name: typed(declared[name], value) for name, value in parameters.items()}}
        asked = {name: given[name] for name in parameters if name in declared and declared[name].dataset}
        changed = resolve_inputs(
            self._datasets, {**inputs, **{k: v for k, v in asked.items() if isinstance(v, str)}}
        )
        given |= {name: fixed.ref for name, fixed in changed.items() if name in declared}
        fixed = {**self._inputs(run, request, set(changed)), **changed}
        plan = Plan(
            read,
            folder,
            given,
            Strategy(),
            fixed,
            max(1, min(int(request.get("workers", 1)), self._size(run))),
            run.id,
            metric=request.get("metric"),
            goal=request.get("goal"),
        )
        return run, plan

    def kept(self, id: str) -> Imported:
        """Return the sources that were kept of a run, and in which folders Python found them."""
        run = self._finder.get(id)
        if run.info.source_digest is None:
            return Imported()
        files = {
            entry.path: self._objects.read(entry.digest)
            for entry in self._objects.tree(run.info.source_digest)
        }
        known = run.environment().get("sources", {}).get("paths")
        if known is None:  # of a run from before folders were recorded
            folder = self._request(run).get("folder", ".")
            known = [folder, "."] if folder in {*map(_parent, files), "."} else ["."]
        return Imported(files, tuple(known))

    def hash_seed(self, id: str) -> str:
        """Return what the hashes of texts, and so the order of sets, began with in a run; "" if unknown."""
        return str(self._finder.get(id).environment().get("hash_seed", ""))

    def reproduction(
        self, ref: str | Run, original: str | Run | None = None, tolerance: float = TOLERANCE
    ) -> Reproduction:
        """Hold a run against the one that it repeats, or against ``original``."""
        run = self._finder.get(ref)
        if original is None and run.like is None:
            raise BadInput(
                f"run {run.id} repeats no other",
                f"`mlops run --like {run.id}` executes it again; or name both",
            )
        other = self._finder.get(original if original is not None else str(run.like))
        return held_against(
            other,
            run,
            asked=self._asked(other, run),
            digests=(self._outputs(other), self._outputs(run)),
            tolerance=tolerance,
        )

    def _notebook(self, run: Run, given: str | Path | None, folder: str) -> tuple[Notebook, str]:
        """Return the notebook to execute and the folder to do it in: what is kept, or what is given now."""
        if given is not None:
            path = find_notebook(given, self._root)
            name = path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)
            read = read_notebook(path, name)
            folder = folder_of(path, self._root)
        else:
            data = self._objects.read(str(run.info.notebook_digest))
            read = parse_notebook(data, run.notebook or "notebook.ipynb")
            if not (self._root / folder).is_dir():
                raise NotFound(
                    f"the folder {folder}, in which run {run.id} was executed, is gone",
                    "make it again: the kernel starts in it",
                )
        check_kernel(read)
        return read, folder

    def _injected(self, run: Run, read: Notebook) -> dict[str, Any]:
        """Return what was injected then."""
        row = self._store.one("SELECT injected FROM runs WHERE id = :id", id=run.id) or {}
        if row.get("injected") is not None:
            known: dict[str, Any] = json.loads(row["injected"])
        else:
            executed = run.executed_notebook() or {}
            told = executed.get("metadata", {}).get("papermill", {}).get("parameters")
            known = dict(run.parameters) if told is None else told
            known = {name: value for name, value in known.items() if name in (read.parameters or {})}
        check_known(read, known)
        return known

    def _inputs(self, run: Run, request: Mapping[str, Any], instead: set[str]) -> dict[str, FixedInput]:
        """Return the versions that the run read, also by what it called them; raises ``NotFound``."""
        rows = self._store.all(
            "SELECT name, ref, digest FROM run_inputs WHERE run = :run ORDER BY name", run=run.id
        )
        planned = {known[1]: known[0] for known in request.get("inputs", {}).values()}
        refs = self._store.all("SELECT asked, ref FROM run_refs WHERE run = :run ORDER BY asked", run=run.id)
        fixed: dict[str, FixedInput] = {}
        for row in rows:
            name, ref, digest = row["name"], row["ref"], row["digest"]
            if name in instead:
                continue
            try:
                self._datasets.get(ref)
            except MLOpsError as error:
                raise NotFound(f"run {run.id} read {ref}: {error.message}", error.hint) from error
            fixed[name] = FixedInput(str(planned.get(ref, ref)), ref, digest)
            for each in refs:
                if each["ref"] == ref:
                    fixed[f"{name}\n{each['asked']}"] = FixedInput(each["asked"], ref, digest)
        return fixed

    def _asked(self, original: Run, run: Run) -> tuple[str, ...]:
        """Return what was to be different: parameters, inputs, the notebook."""
        was, now = self._seen(original), self._seen(run)
        changed = [name for name in dict.fromkeys((*was, *now)) if repr(was.get(name)) != repr(now.get(name))]
        changes = [f"{name} = {_shown(now.get(name))} instead of {_shown(was.get(name))}" for name in changed]
        changes += [
            f"input {name} = {ref} instead of {original.inputs[name]}"
            for name, ref in run.inputs.items()
            if name not in changed and original.inputs.get(name, ref) != ref
        ]
        if original.info.notebook_digest != run.info.notebook_digest:
            changes.append("the notebook as it was then")
        return tuple(changes)

    def _seen(self, run: Run) -> dict[str, Any]:
        """Return the parameters that came from outside, and the declared defaults; not what code logged."""
        row = self._store.one("SELECT injected FROM runs WHERE id = :id", id=run.id) or {}
        injected = json.loads(row.get("injected") or "{}")
        if run.info.notebook_digest is None:
            return dict(injected)
        read = parse_notebook(self._objects.read(run.info.notebook_digest), run.notebook or "")
        return {**read.defaults(), **injected}

    def _outputs(self, run: Run) -> dict[str, str]:
        """Return the digests of the versions that a run wrote, by dataset, the first one of each plain."""
        found: dict[str, str] = {}
        rows = self._store.all("SELECT ref, digest FROM run_outputs WHERE run = :run", run=run.id)
        for row in sorted(rows, key=lambda row: (row["ref"].partition("@")[0], _number(row["ref"]))):
            name = row["ref"].partition("@")[0]
            times = sum(known.partition(" ")[0] == name for known in found)
            found[f"{name} ({times + 1})" if times else name] = row["digest"]
        return found

    def _request(self, run: Run) -> dict[str, Any]:
        row = self._store.one("SELECT request, metric, goal FROM sweeps WHERE id = :id", id=run.sweep)
        if row is None:
            return {}
        return {**json.loads(row["request"]), "metric": row["metric"], "goal": row["goal"]}

    def _size(self, run: Run) -> int:
        row = self._store.one("SELECT size FROM sweeps WHERE id = :id", id=run.sweep)
        return int(row["size"]) if row else 1


def _parent(path: str) -> str:
    return Path(path).parent.as_posix()


def _number(ref: str) -> int:
    number = ref.rpartition("@v")[2]
    return int(number) if number.isdigit() else 0


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
