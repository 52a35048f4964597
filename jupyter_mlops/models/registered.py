"""The registered models of a project: register, find, and who held an alias when. Base of ``Registry``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, NotFound, close_matches
from ..people import Members, Role
from ..refs import Ref, check_alias, check_name, parse_ref
from ..store import Store, Transaction, aliases
from ..store.aliases import AliasMove
from ..store.store import Row
from .persistence import ModelStore, SavedModel
from .signature import Signature
from .version import Model, ModelVersion

if TYPE_CHECKING:
    from ..objects import Objects
    from ..runs import Run, Tracker

KIND = "model"


class Models:
    """The models of one project, seen by one actor."""

    def __init__(self, store: Store, people: Members, objects: Objects, runs: Tracker) -> None:
        self._store = store
        self._people = people
        self._objects = objects
        self._runs = runs
        self.files = ModelStore(objects, lambda: people.policy.trust)

    def register(self, name: str, source: Any, input_example: Any = None) -> ModelVersion:
        """Make the next version of ``name`` from a run, runs (their best), a run's ref or a fitted estimator.

        The same model from the same run is the version that it already is. Raises ``UnsafeModel`` for types
        that the project does not allow.
        """
        check_name(name, KIND)
        self._people.require(Role.CONTRIBUTOR)
        with self._objects.holding():  # until the fact is there, nothing else keeps the bytes
            run, saved = self._source(source, input_example)
            return self._registered(name, run, saved)

    def get(self, ref: str | ModelVersion, at: str | date | None = None) -> ModelVersion:
        """Return the version that ``ref`` names; a bare name is the latest one.

        With ``at`` (an ISO date or time, UTC where it names no zone; a date means its end), the version that
        the alias pointed to, or that was the latest one, then.
        """
        if isinstance(ref, ModelVersion):
            ref = ref.ref
        parsed = parse_ref(ref, KIND)
        if at is None:
            return self._version(self._row(parsed))
        if parsed.number is not None:
            raise BadInput(f"{ref} is the same at any time", "ask with an alias: who held it then?")
        return self._version(self._row_at(parsed, _moment(at)))

    def list(self) -> tuple[Model, ...]:
        """Return every model, by name."""
        counts = self._store.all(
            "SELECT model, COUNT(*) AS versions, MAX(number) AS latest FROM model_versions "
            "GROUP BY model ORDER BY model"
        )
        held = aliases.every(self._store, KIND)
        return tuple(
            Model(
                row["model"],
                self.get(f"{row['model']}@v{row['latest']}"),
                int(row["versions"]),
                held.get(row["model"], {}),
            )
            for row in counts
        )

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Return every version of ``name``, newest first."""
        self._known(name)
        rows = self._store.all(
            "SELECT * FROM model_versions WHERE model = :model ORDER BY number DESC", model=name
        )
        return tuple(self._version(row) for row in rows)

    def roots(self) -> Iterator[tuple[str, str, bool]]:
        """Yield all stored bytes that models need: whose they are, their digest, whether that is a tree's."""
        for row in self._store.all("SELECT model, number, digest FROM model_versions"):
            yield f"{KIND}:{row['model']}@v{row['number']}", row["digest"], True

    def history(self, name: str, alias: str) -> tuple[AliasMove, ...]:
        """Return every move of ``alias``, newest first: from what to what, by whom, why, by what approval."""
        self._known(name)
        self._declared(name, alias)
        return aliases.history(self._store, KIND, name, alias)

    def _registered(self, name: str, run: Run | None, saved: SavedModel) -> ModelVersion:
        author = self._people.actor.name if run is None else run.actor
        with self._people.write(Role.CONTRIBUTOR) as transaction:
            there = "SELECT id FROM runs WHERE id = :id AND removed_at IS NULL"
            if run is not None and transaction.one(there, id=run.id) is None:
                raise NotFound(f"run {run.id} was removed", f"`mlops runs restore {run.id}` brings it back")
            known = transaction.one(
                "SELECT * FROM model_versions WHERE model = :model AND digest = :digest "
                "AND COALESCE(run, '') = :run ORDER BY number",
                model=name,
                digest=saved.digest,
                run=run.id if run else "",
            )
            if known is not None:
                return self._version(known, note=f"unchanged: this is {name}@v{known['number']}")
            number = self._insert(transaction, name, run.id if run else None, author, saved)
            transaction.event(
                "model.registered",
                f"model:{name}@v{number}",
                name=name,
                number=number,
                digest=saved.digest,
                run=run.id if run else None,
            )
        return self.get(f"{name}@v{number}")

    def _source(self, source: Any, example: Any) -> tuple[Run | None, SavedModel]:
        from ..runs import Run, Runs

        if not isinstance(source, str | Run | Runs):
            return None, self.files.save(source, example)
        run = self._runs.get(source)
        if example is not None:
            raise BadInput(
                "a run's model already has its input example",
                "give it to log_model(model, input_example=…) in the run",
            )
        digest = _logged_model(run)
        self.files.verify(digest)
        self.files.refuse_unsafe(digest)
        return run, self.files.saved(digest)

    def _insert(
        self, transaction: Transaction, name: str, run: str | None, author: str, saved: SavedModel
    ) -> int:
        if transaction.one("SELECT name FROM models WHERE name = :name", name=name) is None:
            transaction.insert("models", name=name, at=transaction.at, actor=transaction.actor)
        newest = transaction.one("SELECT MAX(number) AS number FROM model_versions WHERE model = :m", m=name)
        number = int((newest or {}).get("number") or 0) + 1
        transaction.insert(
            "model_versions",
            model=name,
            number=number,
            digest=saved.digest,
            run=run,
            bytes=saved.bytes,
            detail=json.dumps(saved.detail, sort_keys=True),
            author=author,
            at=transaction.at,
            actor=transaction.actor,
        )
        return number

    def _row(self, ref: Ref) -> Row:
        self._known(ref.name)
        number = ref.number
        if ref.alias is not None and ref.alias != "latest":
            self._declared(ref.name, ref.alias)
            number = aliases.holder(self._store, KIND, ref.name, ref.alias)
            if number is None:
                raise NotFound(
                    f"no version of {ref.name} holds {ref.alias} yet",
                    f"`mlops promote {ref.name}@v1 {ref.alias}`",
                )
        if number is None:
            where, parameters = "", {}
        else:
            where, parameters = "AND number = :number ", {"number": number}
        row = self._store.one(
            f"SELECT * FROM model_versions WHERE model = :model {where}ORDER BY number DESC",  # noqa: S608 fixed text
            model=ref.name,
            **parameters,
        )
        if row is None:
            newest = self._row(Ref(ref.name))["number"]
            raise NotFound(f"{ref} does not exist", f"the latest is {ref.name}@v{newest}")
        return row

    def _row_at(self, ref: Ref, moment: str) -> Row:
        self._known(ref.name)
        if ref.bare or ref.alias == "latest":
            row = self._store.one(
                "SELECT * FROM model_versions WHERE model = :model AND at <= :at ORDER BY number DESC",
                model=ref.name,
                at=moment,
            )
            if row is None:
                raise NotFound(f"{ref.name} had no version yet at {moment}")
            return row
        alias = ref.alias or ""
        moves = aliases.history(self._store, KIND, ref.name, alias)
        if not moves:
            self._declared(ref.name, alias)
        then = next((move for move in moves if move.at <= moment), None)
        if then is None:
            first = f"it was first given at {moves[-1].at}" if moves else "it was never given"
            raise NotFound(f"no version of {ref.name} held {alias} at {moment}", first)
        return self._row(Ref(ref.name, number=then.number))

    def _known(self, name: str) -> None:
        """Raise ``NotFound`` with close matches unless ``name`` is a model."""
        if self._store.one("SELECT name FROM models WHERE name = :name", name=name) is None:
            names = [row["name"] for row in self._store.all("SELECT name FROM models")]
            raise NotFound(
                f"there is no model '{name}'", close_matches(name, names, "`mlops models` lists them")
            )

    def _declared(self, name: str, alias: str) -> None:
        """Raise ``NotFound`` with close matches unless ``alias`` is or was an alias of ``name``."""
        if self._people.policy.alias(name, alias) is not None or aliases.history(
            self._store, KIND, name, alias
        ):
            return
        raise self._undeclared(name, alias)

    def _undeclared(self, name: str, alias: str) -> NotFound:
        check_alias(alias)
        known = self._people.policy.alias_names(name)
        return NotFound(
            f"'{alias}' is no declared alias of {name}",
            close_matches(
                alias,
                known,
                f"declared: {', '.join(known) or 'none'}; for others, [aliases.{alias}] in mlops.toml "
                "and `mlops policy apply`",
            ),
        )

    def _version(self, row: Row, note: str = "") -> ModelVersion:
        detail = json.loads(row["detail"])
        held = aliases.of(self._store, KIND, row["model"])
        return ModelVersion(
            name=row["model"],
            number=int(row["number"]),
            digest=row["digest"],
            run=row["run"],
            author=row["author"],
            actor=row["actor"],
            at=row["at"],
            signature=Signature.from_dict(detail["signature"]),
            bytes=int(row["bytes"]),
            framework=detail["framework"],
            estimator=detail["estimator"],
            aliases=tuple(alias for alias, number in held.items() if number == row["number"]),
            note=note,
            _files=self.files,
        )


def _logged_model(run: Run) -> str:
    """Return the digest of the model that ``run`` logged: the only one, or the one called ``model``."""
    logged = {name: artifact for name, artifact in run.artifacts.items() if artifact.kind == "model"}
    if not logged:
        raise BadInput(
            f"run {run.id} logged no model", "mlops.log_model(model, input_example=X.head()) in its notebook"
        )
    if len(logged) > 1 and "model" not in logged:
        raise BadInput(
            f"run {run.id} logged several models: {', '.join(logged)}",
            'log the one to register as name="model"',
        )
    chosen = logged["model"] if "model" in logged else next(iter(logged.values()))
    return str(chosen.digest)


def _moment(at: str | date) -> str:
    """Return ``at`` as the store writes time; a date without a time is its last moment."""
    if isinstance(at, str):
        try:
            at = date.fromisoformat(at) if len(at) <= 10 else datetime.fromisoformat(at)
        except ValueError:
            raise BadInput(f"{at!r} is no date or time", "write 2026-11-03 or 2026-11-03T14:30") from None
    if not isinstance(at, datetime):
        midnight = datetime(at.year, at.month, at.day, tzinfo=UTC)
        at = midnight + timedelta(days=1) - timedelta(microseconds=1)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
