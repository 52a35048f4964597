"""Handlers: authenticate, call a verb on a worker thread, answer with HTML or JSON. Made by ``routes``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.client import responses
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.extension.handler import ExtensionHandlerJinjaMixin, ExtensionHandlerMixin
from jupyter_server.utils import url_path_join
from tornado import web

from ..errors import BadInput, MLOpsError, NotFound
from ..project import Project
from ..views.executed import POLICY as FRAMED
from .artifacts import Sent
from .contents import Asked, Content, Page, ask, members_only, refusal, welcome
from .identity import actor_of

LONGEST_TEXT = 4_000
PIECE = 1 << 20  # bytes of a file that are sent at a time
Method = TypeVar("Method", bound=Callable[..., Any])
# of what came from outside: it has no origin, and may run and fetch nothing
_SANDBOX = f"{FRAMED}; sandbox; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
_CODES = {400: "bad_input", 401: "refused", 403: "refused", 404: "not_found", 405: "method_not_allowed"}
_POLICY = (
    "default-src 'self'",
    "script-src 'self'",
    # values are drawn with style attributes and pictures in data: URLs, as notebooks need them
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
)


def guarded(action: str, noun: str) -> Callable[[Method], Method]:
    """Close a method to strangers, and to users whom Jupyter's authorizer denies ``action`` on our ``noun``.

    Both words are always given: left to itself, Jupyter's decorator keeps those of the first request.
    """

    def guard(method: Method) -> Method:
        permitted: Any = authorized(action=action, resource=f"jupyter_mlops:{noun}")(method)
        closed: Any = web.authenticated(permitted)
        return cast(Method, closed)

    return guard


class _ProjectHandler(ExtensionHandlerMixin, JupyterHandler):
    """What page and REST have in common: the actor, the project, and text that is fit to be passed on."""

    @property
    def root(self) -> str:
        """Where the page starts, under whatever base URL the server has."""
        return url_path_join(self.base_url, "mlops") + "/"

    async def in_project(self, work: Callable[[Project], Any]) -> Any:
        """Return ``work(project)`` with the project open in the name of Jupyter's user."""
        actor = actor_of(self.identity_provider, self.current_user)
        app: Any = self.extensionapp
        return await app.in_project(actor, work)

    def texts(self, given: Mapping[str, Any], allowed: tuple[str, ...]) -> dict[str, str]:
        """Return the given texts; raises ``BadInput`` for an unknown name or what is no fit text."""
        for name, value in given.items():
            if name not in allowed:
                raise BadInput(f"unknown field '{name}'", f"known: {', '.join(allowed) or 'none'}")
            if not isinstance(value, str):
                raise BadInput(f"'{name}' must be text")
            self.fit(value)
        return dict(given)

    @staticmethod
    def fit(text: str) -> str:
        """Return ``text``; raises ``BadInput`` if it is very long or holds control characters."""
        if len(text) > LONGEST_TEXT:
            raise BadInput(f"a text of {len(text)} characters is too long", f"at most {LONGEST_TEXT}")
        if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text):
            raise BadInput("the text holds control characters")
        return text


class PageHandler(ExtensionHandlerJinjaMixin, _ProjectHandler):
    """Answers with HTML."""

    @property
    def content_security_policy(self) -> str:
        return "; ".join((super().content_security_policy, *_POLICY))

    def set_default_headers(self) -> None:
        """Keep pages out of caches, and the page's address away from other sites."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "same-origin")

    async def prepare(self, **options: Any) -> None:
        """Take the token out of the address once it has become a cookie."""
        await super().prepare(**options)
        if not self._finished and self.request.method == "GET" and "token" in self.request.query_arguments:
            rest = [
                (name, value)
                for name, values in self.request.query_arguments.items()
                if name != "token"
                for value in values
            ]
            self.redirect(self.request.path + (f"?{urlencode(rest)}" if rest else ""))

    async def show(self, content: Content, *words: str, problem: MLOpsError | None = None) -> None:
        """Answer with what ``content`` makes of the project, and above it the ``problem`` that led here."""
        try:
            asked = Asked(tuple(map(self.fit, words)), self._query(), self._link, self._every())
            page = await self.in_project(lambda project: welcome(project, asked, content))
        except MLOpsError as error:
            self._answer(refusal(error))
            return
        self._answer(replace(page, problem=problem, status=problem.status) if problem else page)

    async def act(self, verb: str, fields: tuple[str, ...], content: Content, *words: str) -> None:
        """Call ``verb`` with the words of the address and the form's fields, then show where that led."""
        try:
            form = {name: self.get_body_argument(name, "") for name in fields}
            given = self.texts(form, fields)
            arguments = tuple(map(self.fit, words))
            value = await self.in_project(lambda project: ask(project, verb, arguments, given))
        except MLOpsError as error:
            await self.show(content, *words, problem=error)
            return
        self.redirect(self._link(value.path), status=303)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a page of ours that says what went wrong, and no more than may be known."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = responses.get(status_code, "Something went wrong")
        if isinstance(error, web.HTTPError) and error.log_message and status_code < 500:
            message = error.log_message % error.args if error.args else error.log_message
        self._answer(Page("error.html", message, {"message": message, "hint": ""}, status=status_code))

    def _query(self) -> dict[str, str]:
        return {name: self.fit(self.get_query_argument(name)) for name in self.request.query_arguments}

    def _every(self) -> dict[str, tuple[str, ...]]:
        arguments = self.request.query_arguments
        return {name: tuple(map(self.fit, self.get_query_arguments(name))) for name in arguments}

    def _link(self, path: str) -> str:
        place, mark, query = path.partition("?")
        return self.root + quote(place) + mark + query

    def _answer(self, page: Page) -> None:
        self.set_status(page.status)
        self.finish(
            self.render_template(page.template, page=page, root=self.root, link=self._link, **page.data)
        )


class RestHandler(_ProjectHandler, APIHandler):
    """Answers with JSON: a value's ``to_dict()``, or the one error envelope."""

    async def call(
        self, verb: str, words: tuple[str, ...], given: Mapping[str, Any], allowed: tuple[str, ...]
    ) -> None:
        """Answer with the value of ``verb``; a field outside ``allowed`` is refused."""
        try:
            options = self.texts(given, allowed)
            arguments = tuple(map(self.fit, words))
            answer = await self.in_project(lambda project: ask(project, verb, arguments, options).to_dict())
        except MLOpsError as error:
            self._refuse(error.status, error.to_dict())
            return
        self.finish(json.dumps(answer, ensure_ascii=False))

    def query(self) -> dict[str, str]:
        """Return the query's fields, without what Jupyter itself reads from there."""
        names = [name for name in self.request.query_arguments if name not in ("token", "no_track_activity")]
        return {name: self.get_query_argument(name) for name in names}

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the request; raises 400 unless it is one, declared as such."""
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise web.HTTPError(400, "the body must be JSON, with Content-Type: application/json")
        body = self.get_json_body()
        if body is not None and not isinstance(body, dict):
            raise web.HTTPError(400, "the body must be a JSON object")
        return body or {}

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer in the shape of every other error."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = responses.get(status_code, "error")
        if isinstance(error, web.HTTPError) and error.log_message and status_code < 500:
            message = error.log_message % error.args if error.args else error.log_message
        self._refuse(status_code, {"code": _CODES.get(status_code, "failed"), "message": message, "hint": ""})

    def _refuse(self, status: int, envelope: Mapping[str, str]) -> None:
        self.set_status(status)
        self.finish(json.dumps(envelope, ensure_ascii=False))


def shows(content: Content, noun: str) -> type[PageHandler]:
    """Return the handler of a page that reads."""

    class Shows(PageHandler):
        @guarded("read", noun)
        async def get(self, *words: str) -> None:
            await self.show(content, *words)

    return Shows


def frames(content: Callable[[Project, Asked], str], noun: str) -> type[PageHandler]:
    """Return the handler of a document from outside, for a sandboxed frame: it may run and fetch nothing."""

    class Frames(PageHandler):
        @property
        def content_security_policy(self) -> str:
            return _SANDBOX  # in a browser tab of its own, too

        @guarded("read", noun)
        async def get(self, *words: str) -> None:
            try:
                asked = Asked(tuple(map(self.fit, words)), {}, self._link)
                text = await self.in_project(lambda project: members_only(project, asked, content))
            except MLOpsError as error:
                self._answer(refusal(error))
                return
            self.finish(text)

    return Frames


def sends(content: Callable[[Project, Asked], Sent], noun: str) -> type[PageHandler]:
    """Return the handler of a file from outside: shown in a sandbox where browsers can, else saved."""

    class Sends(PageHandler):
        @property
        def content_security_policy(self) -> str:
            return _SANDBOX

        @guarded("read", noun)
        async def get(self, *words: str) -> None:
            try:
                asked = Asked(tuple(map(self.fit, words)), self._query(), self._link)
                sent = await self.in_project(lambda project: members_only(project, asked, content))
            except MLOpsError as error:
                self._answer(refusal(error))
                return
            manner = "inline" if sent.shown else "attachment"
            self.set_header("Content-Type", sent.media)
            self.set_header("Content-Disposition", f"{manner}; filename*=UTF-8''{quote(sent.name, safe='')}")
            self.set_header("X-Content-Type-Options", "nosniff")
            with sent.data as data:
                while piece := data.read(PIECE):
                    self.write(piece)
                    await self.flush()
            self.finish()

    return Sends


def acts(verb: str, noun: str, content: Content, fields: tuple[str, ...] = ()) -> type[PageHandler]:
    """Return the handler of a form that changes something; ``content`` is shown again when it cannot."""

    class Acts(PageHandler):
        @guarded("write", noun)
        async def post(self, *words: str) -> None:
            await self.act(verb, fields, content, *words)

    return Acts


def checks(content: Content, noun: str) -> type[PageHandler]:
    """Return the handler of a form whose answer is a page: long to make, so never made on a mere visit."""

    class Checks(PageHandler):
        @guarded("read", noun)
        async def post(self, *words: str) -> None:
            await self.show(content, *words)

    return Checks


def reads(
    verb: str,
    noun: str,
    options: tuple[str, ...] = (),
    word: Callable[..., tuple[str, ...]] = lambda *words: words,
) -> type[RestHandler]:
    """Return the REST handler that answers GET with a verb's value; ``word`` makes words of the address."""

    class Reads(RestHandler):
        @guarded("read", noun)
        async def get(self, *words: str) -> None:
            await self.call(verb, word(*words), self.query(), options)

    return Reads


def writes(verb: str, noun: str, fields: tuple[str, ...]) -> type[RestHandler]:
    """Return the REST handler that answers POST with a verb's value."""

    class Writes(RestHandler):
        @guarded("write", noun)
        async def post(self, *words: str) -> None:
            await self.call(verb, words, self.body(), fields)

    return Writes


class NoSuchPage(PageHandler):
    """Answers for every other address below the page."""

    @guarded("read", "page")
    async def get(self) -> None:
        """Say that there is nothing."""
        self._answer(refusal(NotFound("there is no such page", "the navigation above leads on")))


class NoSuchEndpoint(RestHandler):
    """Answers for every other address below the REST interface."""

    @guarded("read", "page")
    async def get(self) -> None:
        """Say that there is nothing."""
        self._refuse(404, NotFound("there is no such endpoint").to_dict())

    post = get
