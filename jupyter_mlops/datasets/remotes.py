"""Remotes: pushes versions to other places and pulls them from there. Handed out by ``Project``.

Bytes first, then the ref that names them, on the way there as on the way back; only what is missing moves.
Each side numbers versions by itself: one whose number is taken by another content gets the next free one, and
the answer says so. Two versions are the same if content, kind and declared types are; of several such, the
first here is the first there, and so on, so that a version that brings older content back travels as well.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import DEFAULT_REMOTE, FILE, RemotePlace, check_remote_name
from ..errors import BadConfig, BadInput, Conflict, MLOpsError, NotFound, StoreFailed, close_matches
from ..objects import Batch, Objects
from ..people import Members, Role
from ..refs import Ref, parse_ref
from .transfer import Moved, Remote, Transfer
from .version import DatasetVersion

if TYPE_CHECKING:
    from ..objects.remotes.remote import RemoteObjects
    from .shipping import Versions

KIND = "data"
# the service's method list hides the type from its annotations
_Remotes = tuple[Remote, ...]


class Remotes:
    """The remotes of one project, as its file declares them."""

    def __init__(
        self, people: Members, objects: Objects, places: Mapping[str, RemotePlace], root: Path, folder: Path
    ) -> None:
        self._people = people
        self._objects = objects
        self._places = dict(places)
        self._root = root
        self._folder = folder

    def list(self) -> _Remotes:
        """Return every remote, by name."""
        return tuple(self.get(name) for name in sorted(self._places))

    def get(self, name: str | None = None) -> Remote:
        """Return the remote of that name; without one the default, or the only one there is."""
        name = self._name(name)
        place = self._places[name]
        return Remote(name, place.url, place.single_writer, name == self._default())

    def add(self, name: str, url: str) -> Remote:
        """Declare a remote in mlops.toml, after trying whether it can be written and how; return it.

        Its place is made where it is empty. A path is read from the current folder; a relative one is written
        as seen from the project, so that it means the same in every clone beside it.
        """
        from ..objects.remotes.storage import check_url

        check_remote_name(name)
        self._people.require(Role.CONTRIBUTOR)
        check_url(url)
        declared = url
        if "://" not in url:
            given = Path(url).expanduser()
            url = os.path.normpath(given.absolute())
            declared = url if given.is_absolute() else os.path.relpath(url, self._root)
            if Path(url).is_relative_to(self._folder.parent):
                raise BadInput(f"{url} is inside the project's own state", "name a place outside of it")
            if Path(url) == Path(os.path.normpath(self._root.absolute())):
                raise BadInput(f"{url} is the project's own folder", "name a folder for the remote alone")
        known = self._places.get(name)
        if known is not None and known.url != url:
            raise Conflict(
                f"the remote '{name}' is {known.url}", f"`mlops data remote remove {name}` forgets it first"
            )
        with self._opened(name, RemotePlace(url)) as there:
            there.open(begin=True)
            place = RemotePlace(url, there.single_writer)
        if known is None:
            self._write(name, RemotePlace(declared, place.single_writer))
            self._places[name] = place
        note = "this is there already" if known is not None else ""
        if place.single_writer:
            note = "its store cannot keep two pushes at once apart: one person at a time may push"
        return Remote(name, url, place.single_writer, name == self._default(), note)

    def remove(self, name: str) -> Remote:
        """Take a remote out of mlops.toml and return it; what it holds stays there."""
        self._people.require(Role.CONTRIBUTOR)
        remote = self.get(name)
        self._write(name, None)
        del self._places[name]
        shutil.rmtree(self._folder / name, ignore_errors=True)
        return Remote(
            name, remote.address, remote.single_writer, False, "forgotten here; what it holds stays there"
        )

    def names(self) -> Mapping[str, str]:
        """Return the remotes' names by their addresses."""
        return {place.url: name for name, place in self._places.items()}

    def hint(self, ref: str) -> str:
        """Return how to fetch the bytes of a version that are not here; nothing where there is no remote."""
        return f"`mlops data pull {ref}` fetches them" if self._places else ""

    def push(
        self, versions: Versions, ref: str | DatasetVersion | None = None, remote: str | None = None
    ) -> Transfer:
        """Bring to a remote what it lacks of one version, of all of a dataset (a name), or of everything."""
        self._people.require(Role.CONTRIBUTOR)
        from .push import Push, chosen_by
        from .sharing import Sharing

        name = self._name(remote)
        chosen = chosen_by(versions, ref)
        with self._objects.holding(), self._opened(name, self._places[name]) as there:
            there.open(begin=True)
            there.refresh()
            there.mend()
            done = Push(there, versions, self._objects, name).run(chosen, self._told)
            done = replace(done, aliases=Sharing(there, versions, name).push(done.numbers))
        versions.note_there(self._places[name].url, done.numbers)
        return done

    def pull(
        self, versions: Versions, ref: str | DatasetVersion | None = None, remote: str | None = None
    ) -> Transfer:
        """Fetch from a remote what is not here of a version, of a dataset (a name), or of everything."""
        self._people.require(Role.VIEWER)
        name = self._name(remote)
        from .pull import Pull
        from .sharing import Sharing

        renamed = False
        parsed = None if ref is None else parse_ref(ref if isinstance(ref, str) else ref.ref, KIND)
        with self._objects.holding(), self._opened(name, self._places[name]) as there:
            there.open()
            there.refresh()
            sharing = Sharing(there, versions, name)
            if parsed is not None and parsed.alias not in (None, "latest"):
                number = sharing.target(parsed.name, str(parsed.alias))
                parsed = parsed if number is None else Ref(parsed.name, number)
                renamed = number is not None
            done = Pull(there, versions, self._objects, name).run(parsed, as_there=renamed)
            names = [parsed.name] if parsed is not None else [name for name, _ in done.numbers]
            done = replace(done, aliases=sharing.pull(names))
        versions.note_there(self._places[name].url, done.numbers)
        return done

    def restore(self, digests: Collection[str], batch: Batch) -> set[str]:
        """Put into ``batch`` what remotes have of ``digests``, chunks and files, and return those.

        A remote that does not answer is passed over.
        """
        from ..objects.remotes.download import Download

        healed: set[str] = set()
        for name, place in self._places.items():
            left = set(digests) - healed
            if left:
                try:
                    with self._opened(name, place) as there:
                        there.open()
                        there.refresh()
                        healed |= Download(there, self._objects).heal(left, batch)
                except MLOpsError:
                    continue
        return healed

    def _told(self, name: str, moved: Iterable[Moved]) -> None:
        """Append to the history what was pushed."""
        with self._people.write(Role.CONTRIBUTOR) as transaction:
            for version in moved:
                transaction.event("data.pushed", f"data:{version.here}", remote=name, there=version.there)

    def _name(self, name: str | None) -> str:
        if name is None:
            name = self._default()
        if name is None:
            if not self._places:
                raise BadInput("this project has no remote", "`mlops data remote add NAME URL` declares one")
            raise BadInput(
                "there are several remotes", f"name one with --remote: {', '.join(sorted(self._places))}"
            )
        if name not in self._places:
            hint = (
                f"known: {', '.join(sorted(self._places))}"
                if self._places
                else "`mlops data remote add` adds one"
            )
            raise NotFound(f"there is no remote '{name}'", close_matches(name, self._places, hint))
        return name

    def _default(self) -> str | None:
        if DEFAULT_REMOTE in self._places:
            return DEFAULT_REMOTE
        return next(iter(self._places)) if len(self._places) == 1 else None

    @contextmanager
    def _opened(self, name: str, place: RemotePlace) -> Iterator[RemoteObjects]:
        from ..objects.remotes.remote import RemoteObjects
        from ..objects.remotes.storage import storage_at

        try:
            with RemoteObjects(storage_at(place.url), self._folder / name, place.single_writer) as there:
                yield there
        except sqlite3.Error as error:  # such as a temporary folder that is full
            raise StoreFailed(
                f"what is to be moved and what the remote '{name}' holds could not be noted: {error}",
                "free some space in the temporary folder and in .mlops and repeat; what was moved counts",
            ) from error

    def _write(self, name: str, place: RemotePlace | None) -> None:
        """Change mlops.toml, keeping its comments."""
        import tomlkit

        file = self._root / FILE
        document = tomlkit.parse(file.read_text("utf-8"))
        if place is not None:
            if "remotes" not in document:
                document["remotes"] = tomlkit.table(is_super_table=True)
            table = tomlkit.table().add("url", place.url)
            if place.single_writer:
                table.add("single_writer", True)
            document["remotes"][name] = table
        elif name in document.get("remotes", {}):
            del document["remotes"][name]
            if not document["remotes"]:
                del document["remotes"]
        else:
            raise BadConfig(
                f"the remote '{name}' is declared as [project] remote", f"take that line out of {FILE}"
            )
        temporary = file.with_name(f".{file.name}.part")
        temporary.write_text(tomlkit.dumps(document), "utf-8")
        temporary.replace(file)
