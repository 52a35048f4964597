"""Identity: who Jupyter says is asking, and a provider that knows each person of a project by a link."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from filelock import FileLock
from jupyter_server.auth import Authorizer, IdentityProvider, User
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import LegacyIdentityProvider
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.extension.handler import ExtensionHandlerJinjaMixin, ExtensionHandlerMixin
from tornado import web
from traitlets import Unicode, default

from ..config import ROLES
from ..people import Actor
from ..project import STATE, Project
from .projects import project_root

LINKS_FILE = "page-links.json"


def tells_people_apart(provider: IdentityProvider) -> bool:
    """Return whether the provider's user names are names of people.

    Jupyter's own providers know one shared token or password; whoever has it gets a made-up name.
    """
    kind = type(provider)
    asks_others = kind.get_user not in (IdentityProvider.get_user, LegacyIdentityProvider.get_user)
    return asks_others or kind.get_user_token is not IdentityProvider.get_user_token


def actor_of(provider: IdentityProvider, user: User) -> Actor | None:
    """Return the actor that Jupyter vouches for, or ``None`` where it cannot tell who that is."""
    return Actor(user.username, "jupyter", "Jupyter") if tells_people_apart(provider) else None


def page_links(project: Project, base_url: str) -> dict[str, str]:
    """Return the personal page link of everybody whom the policy in force gives a role; services get none.

    Links are made on demand and stay the same; who is no longer in the policy loses theirs. ``base_url`` is
    the server's own, such as ``http://127.0.0.1:8888/``.
    """
    people = project.people.policy.people
    names = dict.fromkeys(
        name for role in ROLES for name in getattr(people, role) if name not in people.services
    )
    file = project.state / LINKS_FILE
    with FileLock(file.with_suffix(".lock"), mode=0o600):
        known = _read_links(file)
        links = {name: known.get(name) or secrets.token_urlsafe(32) for name in names}
        if links != known:
            write_private(file, json.dumps(links, indent=1))
    root = base_url.rstrip("/")
    return {name: f"{root}/mlops/?{urlencode({'token': token})}" for name, token in links.items()}


def write_private(file: Path, text: str) -> None:
    """Replace ``file`` at once by one that only its owner may read."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)


class PeopleIdentityProvider(IdentityProvider):
    """Knows each person of a project by the token in their page link.

    The first visit sets a login cookie for exactly that person, worth nothing once the link is withdrawn.
    """

    links_file = Unicode(config=True, help="File with the token of each person, made by `mlops up`.")

    @default("links_file")
    def _links_of_the_project(self) -> str:
        server: Any = self.parent
        return str(project_root(server.root_dir) / STATE / LINKS_FILE)

    @default("token")
    def _no_shared_token(self) -> str:
        return ""

    @default("cookie_options")
    def _only_from_this_site_or_a_link(self) -> dict[str, str]:
        return {"samesite": "Lax"}

    @default("need_token")
    def _need_no_shared_token(self) -> bool:
        return False

    @property
    def logout_available(self) -> bool:
        return True

    def get_handlers(self) -> list[tuple[str, object]]:
        """Return the page that stands where a login form would."""
        login: Any = ("/login", AskForLinkHandler, {"name": "jupyter_mlops"})
        return [login, ("/logout", self.logout_handler_class)]

    async def get_user_token(self, handler: web.RequestHandler) -> User | None:
        """Return the person whose token came with the request; an unknown token is refused with 403."""
        given = self.get_token(handler)
        if not given:
            return None
        person = None
        for name, token in self._links().items():
            # every token is compared, so that the time tells nothing
            if hmac.compare_digest(token.encode(), given.encode()):
                person = name
        if person is None:
            handler.current_user = handler._jupyter_current_user = None  # type: ignore[attr-defined] # error pages ask
            raise web.HTTPError(
                403, "This link is not, or no longer, valid. `mlops up` prints the links in use."
            )
        return User(person)

    def user_to_cookie(self, user: User) -> str:
        """Return the person's name with a fingerprint of their link."""
        return json.dumps(
            {"person": user.username, "link": _fingerprint(self._links().get(user.username, ""))}
        )

    def user_from_cookie(self, cookie_value: str) -> User | None:
        """Return the person named in the cookie while the link it was given for is still theirs."""
        cookie = json.loads(cookie_value)
        person, fingerprint = cookie.get("person"), cookie.get("link")
        token = self._links().get(person)
        if not token or not hmac.compare_digest(_fingerprint(token), str(fingerprint)):
            return None
        return User(person)

    def _links(self) -> Mapping[str, str]:
        return _read_links(Path(self.links_file))


class PageAuthorizer(Authorizer):
    """Lets people use this product's page and nothing else of Jupyter: no kernels, files or terminals.

    Whoever could run code on the server could read everybody's link.
    """

    def is_authorized(self, handler: JupyterHandler, user: User, action: str, resource: str) -> bool:
        """Return whether the resource is one of ours; what people may do there is the policy's to say."""
        return resource.startswith("jupyter_mlops:")


class AskForLinkHandler(ExtensionHandlerMixin, ExtensionHandlerJinjaMixin, JupyterHandler):
    """Stands where a login form would be: one gets in by a link, not by typing."""

    @allow_unauthenticated
    def get(self) -> None:
        """Say how to get a link."""
        self.set_status(403)
        self.finish(self.render_template("link_needed.html"))


def _fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read_links(file: Path) -> dict[str, str]:
    try:
        links = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(token) for name, token in links.items() if token}
