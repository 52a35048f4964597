"""Removal: hides runs nobody needs and brings them back, and keeps notes. Used by ``Tracker``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import BadInput, Conflict, NotFound
from ..people import Members, Role
from ..store import Store, Transaction
from .finding import words
from .finding.finder import Finder, text_of
from .leftovers import Leftovers
from .plain import storable
from .run import Run
from .runs import Runs, Sweep
from .shelf import Shelf, listed

_AT_ONCE = 400
_LONGEST_NOTE = 10_000


class Removal:
    """What people do with runs that have ended: note something, put them away."""

    def __init__(
        self, store: Store, people: Members, shelf: Shelf, finder: Finder, leftovers: Leftovers
    ) -> None:
        self._store = store
        self._people = people
        self._shelf = shelf
        self._finder = finder
        self._leftovers = leftovers

    def note(self, ref: str | Run | Runs | Sweep, text: str) -> Run:
        """Write ``text`` beside a run, in place of what was noted before, and return the run."""
        if not isinstance(text, str) or len(text) > _LONGEST_NOTE:
            raise BadInput("a note is text", f"of at most {_LONGEST_NOTE:,} characters")
        note = storable(text, "the note").strip()
        run = self._finder.get(ref)
        with self._people.write(Role.CONTRIBUTOR) as tx:
            tx.execute("UPDATE runs SET note = :note WHERE id = :id", note=note or None, id=run.id)
            words.of_note(tx, run.id, note)
            tx.event("run.noted", f"run:{run.id}", experiment=run.experiment, note=note)
        return self._shelf.runs([run.id])[0]

    def remove(self, ref: str | Run | Runs | Sweep, reason: str = "") -> Run | Runs:
        """Hide a run, or a sweep with all its runs, and return it; ``restore`` brings it back.

        ``gc`` frees its bytes later. Raises ``Conflict`` while it runs, and if a model was made from it.
        """
        storable(reason, "the reason")
        text = text_of(ref)
        self._people.require(Role.CONTRIBUTOR)
        self._leftovers.settle()
        sweep = self._finder.sweep_id(text) if self._finder.is_sweep(text) else None
        run = None if sweep else self._finder.get(text)
        about = f"sweep:{sweep}" if sweep else f"run:{run.id if run else ''}"
        with self._people.write(Role.CONTRIBUTOR) as tx:
            ids = _ids(tx, sweep, run, "removed_at IS NULL")
            if not ids:
                raise Conflict(f"{about.replace(':', ' ')} was removed meanwhile")
            self._check_unneeded(tx, ids)
            _mark(tx, ids, tx.at)
            tx.event(f"{about.partition(':')[0]}.removed", about, runs=len(ids), reason=reason)
        removed = self._shelf.runs(ids)
        return removed[0] if run else Runs(removed, self._shelf.sweeps("WHERE id = :id", id=sweep)[0])

    def restore(self, ref: str | Run | Runs | Sweep) -> Run | Runs:
        """Bring a removed run, or the removed runs of a sweep, back, and return it.

        Raises ``Conflict`` if bytes of it are gone.
        """
        self._people.require(Role.CONTRIBUTOR)
        sweep, run = self._removed(text_of(ref))
        about = f"sweep:{sweep}" if sweep else f"run:{run.id if run else ''}"
        with self._shelf.objects.holding(), self._people.write(Role.CONTRIBUTOR) as tx:
            ids = _ids(tx, sweep, run, "removed_at IS NOT NULL")
            if ids:
                self._check_there(ids, about)
                _mark(tx, ids, None)
                tx.event(f"{about.partition(':')[0]}.restored", about, runs=len(ids))
        return self._finder.sweep(sweep) if sweep else self._finder.get(run.id if run else "")

    def _removed(self, text: str) -> tuple[str | None, Run | None]:
        """Return the sweep or the run that is to be restored, which may be there already."""
        runs = self._finder.beginning_with("runs", text, removed=True)
        sweeps = self._finder.beginning_with("sweeps", text, removed=True)
        if text in (*runs, *sweeps):
            runs, sweeps = [id for id in runs if id == text], [id for id in sweeps if id == text]
        if len(runs) + len(sweeps) > 1:
            raise BadInput(f"'{text}' begins several removed runs", "write more of the id")
        if runs:
            return None, self._shelf.runs(runs)[0]
        if sweeps:
            return sweeps[0], None
        try:
            if self._finder.is_sweep(text):
                return self._finder.sweep_id(text), None
            return None, self._finder.get(text)
        except NotFound as error:
            hint = error.hint or "`mlops audit log` says what was removed"
            raise NotFound(f"no removed run or sweep is called '{text}'", hint) from None

    def _check_unneeded(self, tx: Transaction, ids: Sequence[str]) -> None:
        for chunk in _chunks(ids):
            marks, given = listed(chunk)
            open_one = tx.one(
                f"SELECT id, status FROM runs WHERE id IN ({marks}) AND status IN ('queued', 'running')",  # noqa: S608 marks
                **given,
            )
            if open_one is not None:
                id, status = open_one["id"], open_one["status"]
                raise Conflict(f"run {id} is {status}", f"`mlops runs stop {id}` first")
            made = tx.one(
                f"SELECT model, number, run FROM model_versions WHERE run IN ({marks}) ORDER BY 1, 2",  # noqa: S608 marks
                **given,
            )
            if made is not None:
                raise Conflict(
                    f"run {made['run']} is in use by model {made['model']}@v{made['number']}",
                    "what a model was made from stays",
                )

    def _check_there(self, ids: Sequence[str], about: str) -> None:
        from ..objects.upkeep.reach import lacking

        if self._store.shared:
            return  # what other machines keep, and freed, is not known here
        needed = dict.fromkeys((digest, tree) for _, digest, tree in self._shelf.roots(ids))
        if lacking(self._shelf.objects, needed):
            raise Conflict(
                f"{about.replace(':', ' ')} was removed and gc has freed its bytes",
                "`mlops data gc --undo` may bring them back from the trash",
            )


def _ids(tx: Transaction, sweep: str | None, run: Run | None, condition: str) -> list[str]:
    if run is not None:
        rows = tx.all(f"SELECT id FROM runs WHERE id = :id AND {condition}", id=run.id)  # noqa: S608 ours
    else:
        rows = tx.all(
            f"SELECT id FROM runs WHERE sweep = :id AND {condition} ORDER BY position, number",  # noqa: S608 ours
            id=sweep,
        )
    return [row["id"] for row in rows]


def _mark(tx: Transaction, ids: Iterable[str], at: str | None) -> None:
    tx.many("UPDATE runs SET removed_at = :at WHERE id = :id", [{"at": at, "id": id} for id in ids])


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
