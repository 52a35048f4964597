"""Upkeep: keeps the stored bytes small, sound and free of garbage. Used by verbs and by the tidying."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ..config import duration
from ..datasets.progress import progress
from ..errors import BadInput, Conflict, MLOpsError
from ..objects.blob import digest_of_file
from ..objects.upkeep.collect import DAY, GarbageReport, collect, undo
from ..objects.upkeep.compact import CompactReport, compact
from ..objects.upkeep.reach import Reach, Root, lacking
from ..objects.upkeep.verify import Level, VerifyReport, Version, verify
from ..people import Role

_SOURCES = ("unchanged files of this machine", "a remote")  # in the order in which they are asked
_NONE = re.compile(r"0+[smhdw]?")
_RECORDED = ("versions", "runs", "model_versions")

if TYPE_CHECKING:
    from ..objects import Batch
    from ..project import Project


class Upkeep:
    """The care for the stored bytes of one project: datasets, runs and models alike."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def verify(self, ref: str | None = None, level: Level = "full", repair: bool = True) -> VerifyReport:
        """Check the stored bytes, or those of one version; set damage aside and mend what can be.

        Lost bytes come from other packs, from remotes, and from files here that are as they were committed.

        Parameters
        ----------
        level
            ``quick`` compares names and sizes, ``sample`` reads one pack in a hundred, ``full`` reads all.
        repair
            Whether to change anything; else the report says what is wrong.
        """
        named = tuple(self._named())
        if ref is not None:
            wanted = f"data:{self._project.datasets.get(ref).ref}"
            named = tuple(version for version in named if version.name == wanted)
        report = verify(
            self._project.objects,
            named,
            level,
            (_Workspace(self._project, named).restore, self._project.remotes.restore),
            only=ref is not None,
            repair=repair,
            shared=self._shared,
            progress=lambda total: progress("verify", total),
        )
        return replace(report, mended_from=tuple(_SOURCES[number] for number in report.gave))

    def compact(self, seconds: float | None = None) -> CompactReport:
        """Keep near-equal versions as differences; stop after ``seconds``, to go on the next time."""
        if seconds is not None and not seconds >= 0:
            raise BadInput(f"{seconds} seconds are no time", "such as 60")
        return compact(
            self._project.objects,
            (),
            self._lines(),
            seconds,
            lambda total: progress("compact", total),
        )

    def gc(self, delete: bool = False, grace: timedelta | str | float = DAY) -> GarbageReport:
        """Find what no version, run or model needs; with ``delete``, free what was so all the ``grace``.

        The first run condemns, a later one frees, and what is freed waits in the trash for another grace.
        Deleting needs the role operator.
        """
        seconds = _seconds(grace)
        if delete:
            self._project.people.require(Role.OPERATOR)
            self._check_known()
        report = collect(self._project.objects, self._roots, seconds, delete)
        if report.freed or report.emptied:
            with self._project.people.write(Role.OPERATOR) as transaction:
                transaction.event(
                    "data.collected", "data", freed=report.freed, emptied=report.emptied, grace=seconds
                )
        return report

    def undo(self) -> GarbageReport:
        """Bring back what ``gc`` moved to the trash; needs the role operator."""
        with self._project.people.write(Role.OPERATOR) as transaction:
            restored = undo(self._project.objects)
            transaction.event("data.uncollected", "data", restored=restored)
        report = collect(self._project.objects, self._roots)
        return report.with_restored(restored)

    def _check_known(self) -> None:
        """Raise ``Conflict`` where bytes are stored and nothing was ever recorded: the facts were lost."""
        store, objects = self._project.store, self._project.objects
        recorded = any(store.one(f"SELECT 1 AS found FROM {table} LIMIT 1") for table in _RECORDED)  # noqa: S608 ours
        if not recorded and objects.stored().stored:
            raise Conflict(
                "bytes are stored, and no version, run or model was ever recorded: their records were lost",
                "put the store back, or delete .mlops/objects yourself if nothing of it is wanted",
            )

    @property
    def _shared(self) -> bool:
        # facts in a server are everybody's, the bytes of each are where they were committed or pulled
        return bool(self._project.config.store)

    def _named(self) -> Iterator[Version]:
        for name, digest in self._project.datasets.named():
            yield Version(name, digest, True)
        for parts in (self._project.runs.roots(), self._project.models.roots()):
            for name, digest, tree in parts:
                yield Version(name, digest, tree)

    def _roots(self) -> Iterator[Root]:
        for version in self._named():
            yield version.digest, version.tree

    def _lines(self) -> Iterator[tuple[str, ...]]:
        """Yield the trees of each dataset's versions, the oldest first."""
        lines: dict[str, list[str]] = {}
        for ref, digest in self._project.datasets.named():
            lines.setdefault(ref.rpartition("@")[0], []).append(digest)
        for line in lines.values():
            yield tuple(line)


class _Workspace:
    """The files of this machine that were committed, for as long as they are as they were."""

    def __init__(self, project: Project, versions: Collection[Version]) -> None:
        self._objects = project.objects
        self._versions = versions

    def restore(self, digests: frozenset[str], batch: Batch) -> set[str]:
        """Put into ``batch`` what unchanged files have of ``digests``, and return what that is."""
        from ..objects.files.seen import Seen

        seen = Seen(self._objects)
        found: set[str] = set()
        trees = {v.digest for v in self._versions if v.tree and lacking(self._objects, [(v.digest, True)])}
        for digest, path in seen.places_of(trees):
            if digest not in found:
                found |= self._whole(str(path), digest, batch)
        reach = Reach(self._objects)
        reach.add((version.digest, version.tree) for version in self._versions)
        for digest, path in seen.paths_of(reach.addresses()):
            if digest not in found and self._concerns(digest, digests):
                with suppress(MLOpsError, OSError):
                    with path.open("rb") as file:
                        same = digest_of_file(file).digest == digest
                    if same and batch.put_file(path).digest == digest:
                        found.add(digest)
        return found

    def _whole(self, path: str, digest: str, batch: Batch) -> set[str]:
        """Put a file or folder with its tree, if it still is the version ``digest``."""
        from ..datasets import source as sources

        with (
            suppress(MLOpsError, OSError),
            sources.opened("", path, None, self._objects, verify=True) as source,
        ):
            if source.store(self._objects, batch, lambda _: None).digest == digest:
                return {digest}
        return set()

    def _concerns(self, digest: str, lost: frozenset[str]) -> bool:
        """Whether a file is lost itself, or one of its chunks is."""
        if digest in lost:
            return True
        try:
            return any(chunk in lost for chunk, _ in self._objects.chunks(digest))
        except MLOpsError:
            return True


def _seconds(grace: timedelta | str | float) -> float:
    if isinstance(grace, str):
        # no grace at all is a wish of its own: bytes that nothing needs now are freed by the next run
        grace = 0.0 if _NONE.fullmatch(grace.strip()) else duration(grace)
    if isinstance(grace, float) and not math.isfinite(grace):
        raise BadInput(f"{grace} is no length of time", "such as 24h or 0s")
    return max(0.0, grace.total_seconds() if isinstance(grace, timedelta) else float(grace))
