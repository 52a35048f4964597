"""Contents: what each page shows. Every function here runs on a worker thread and returns a ``Page``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urlencode

from markupsafe import Markup

from ..commands.session import Session
from ..commands.table import Verb, registered
from ..errors import BadInput, Conflict, MLOpsError, NotFound, Refused
from ..people import Identity, Role
from ..project import Project
from ..runs import Run, Runs, Sweep
from ..runs.comparing.leaderboard import Order
from ..runs.finding.search import parse_query
from ..store import Event
from ..value import Listing, Value

EVENTS_A_PAGE = 50
EARLIER_VERSIONS = 8
# not every module: verbs that other packages add are no business of the page, nor may their failures be
_VERBS_OF = ("approvals", "audit", "data", "models", "monitoring", "policy", "project", "runs")
RUNS_AT_FIRST, RUNS_AT_MOST = 50, 1_000
SWEEPS_AT_FIRST, SWEEPS_AT_MOST = 8, 1_000
MOST_COMPARED = 20
_WHERE_TO_VOTE = (
    "Only votes of verified people count here. Press Approve or Reject in Slack{channel}, "
    "or open this page through your own link: `mlops up` prints one for each person."
)


@dataclass(frozen=True, slots=True)
class Page:
    """A template, its title and data; ``nav`` is its place in the navigation."""

    template: str
    title: str
    data: Mapping[str, Any] = field(default_factory=dict)
    nav: str = ""
    status: int = 200
    problem: MLOpsError | None = None
    project: str = ""
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: the words of the address, its query, and how a path becomes a link."""

    words: tuple[str, ...]
    query: Mapping[str, str]
    link: Callable[[str], str]
    every: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def draw(self, value: Any, heading: int = 0, choosing: Any = None) -> Markup:
        """Return the HTML of ``value``; its title is the template's to write, as a heading of that level."""
        from ..views import to_html, view
        from ..views.view import View

        seen = value if isinstance(value, View) else view(value)
        bare = replace(seen, title="", summary="", path="", tone="plain")
        # to_html is the one place that escapes values
        made = to_html(bare, link=self.link, heading=heading, actions=False, choosing=choosing)
        return Markup(made)  # noqa: S704

    def choosing(self, path: str, kept: Mapping[str, str]) -> Any:
        """Return how the runs of a page are ticked and ordered: by links to ``path`` that keep the query."""
        from ..views.html import Choosing

        def address(part: str, descending: bool) -> str:
            query = {name: one for name, one in kept.items() if one and name != "order"}
            return self.link(f"{path}?{urlencode({**query, 'order': Order(part, descending).text})}")

        order = _order(self.query.get("order", ""))
        return Choosing("run", address, order.by if order else "", bool(order and order.descending))


Content = Callable[[Project, Asked], Page]
Answer = TypeVar("Answer")


def ask(
    project: Project, verb: str, words: tuple[str, ...] = (), options: Mapping[str, str] | None = None
) -> Any:
    """Return the value of ``verb``, its words and options parsed as on the command line."""
    import click

    command = _verbs()[tuple(verb.split())].command
    arguments: list[str] = []
    for name, value in (options or {}).items():
        option = next(o for o in command.params if isinstance(o, click.Option) and name in _names(o))
        if not option.is_flag:
            arguments.append(f"--{name}={value}")
        elif value not in ("", "0", "false"):
            arguments.append(f"--{name}")
    try:
        return command.main(
            [*arguments, "--", *words], prog_name=verb, standalone_mode=False, obj=Session(project=project)
        )
    except click.ClickException as error:
        raise BadInput(error.format_message()) from error


def welcome(project: Project, asked: Asked, content: Content) -> Page:
    """Return the page for whoever asks: the content for people with a role, the way to get one for others."""
    identity = project.people.whoami()
    if identity.role == Role.NONE.word:
        admins = project.people.policy.people.admin
        page = Page("no_role.html", "You have no role here yet", {"admins": admins}, status=403)
    else:
        try:
            page = content(project, asked)
        except MLOpsError as error:
            page = refusal(error)
    return replace(page, project=project.config.name, identity=identity)


def members_only(project: Project, asked: Asked, content: Callable[[Project, Asked], Answer]) -> Answer:
    """Return what is no page by itself, to people with a role; raises ``Refused`` for others."""
    if project.people.whoami().role == Role.NONE.word:
        raise Refused("you have no role in this project yet", "the start of the page says how to get one")
    return content(project, asked)


def refusal(error: MLOpsError) -> Page:
    """The page that says what is wrong and what to do."""
    said = {"message": error.message, "hint": error.hint}
    return Page("error.html", error.message, said, status=error.status)


def overview(project: Project, asked: Asked) -> Page:
    """What waits for me, what runs, what is in production, what drifts, what happened."""
    now = ask(project, "status")
    serving = tuple(model for model in now.models if model.aliases)
    data = {
        "now": now,
        "waiting": [_request(asked, approval) for approval in now.waiting],
        "asked": _list(asked, "approvals", now.asked),
        "running": _list(asked, "runs", now.running),
        "recent": _list(asked, "runs", now.recent),
        "models": _list(asked, "models", serving),
        "alerts": _list(asked, "alerts", now.alerts[:5]),
        "more_alerts": max(len(now.alerts) - 5, 0),
        "events": _list(asked, "events", _newest(project, 8)),
    }
    return Page("overview.html", "Overview", data, "overview")


def runs(project: Project, asked: Asked) -> Page:
    """Runs, newest first or as asked for, and the sweeps they came from."""
    if "sweep" in asked.query:
        return sweep(project, replace(asked, words=(asked.query["sweep"],)))
    query = {name: asked.query.get(name, "").strip() for name in ("where", "order", "experiment")}
    limit = _number(asked.query.get("limit", ""), RUNS_AT_FIRST, RUNS_AT_MOST)
    problem: MLOpsError | None = None
    found: Any = ()
    try:
        options = {name: value for name, value in query.items() if value}
        found = ask(project, "runs list", options={**options, "limit": str(limit)})
    except BadInput as error:
        # a slip in the filter belongs above the form it was typed into
        problem = error
    data = {
        "query": query,
        "experiments": project.runs.experiments(),
        "runs": asked.draw(found, choosing=asked.choosing("runs", query)) if len(found) else "",
        "more": limit * 4 if len(found) == limit < RUNS_AT_MOST else 0,
        "sweeps": _sweeps(project, query["experiment"])[:SWEEPS_AT_FIRST],
    }
    return Page("runs.html", "Runs", data, "runs", problem.status if problem else 200, problem)


def run(project: Project, asked: Asked) -> Page:
    """One run, with the notebook as it was executed."""
    found = ask(project, "runs show", asked.words)
    if isinstance(found, Runs):
        return _one(asked, found, "runs", [("Runs", "runs")])
    trail = [("Runs", "runs")]
    if found.sweep:
        trail.append((f"sweep {found.sweep}", f"sweeps/{found.sweep}"))
    page = _one(asked, found, "runs", trail)
    frame = f"{found.path}/notebook/content" if found.info.executed_digest else ""
    data = {
        **page.data,
        "run": found,
        "frame": frame,
        "anchor": _anchor(found),
        "best": _is_best(project, found),
    }
    return replace(page, template="run.html", data=data)


def run_notebook(project: Project, asked: Asked) -> Page:
    """The notebook of a run as it was executed, at the cell that failed."""
    found = _one_run(project, asked)
    if found.info.executed_digest is None:
        raise NotFound(f"run {found.id} executed no notebook", "it was recorded by hand, or never started")
    data = {
        "run": found,
        "frame": f"{found.path}/notebook/content",
        "anchor": _anchor(found),
        "steps": [("Runs", "runs"), (f"run {found.id}", found.path)],
    }
    return Page("notebook.html", f"Executed notebook of run {found.id}", data, "runs")


def run_notebook_content(project: Project, asked: Asked) -> str:
    """The executed notebook alone, for the sandboxed frame of a page."""
    from ..views.executed import notebook_page

    found = _one_run(project, asked)
    document = found.executed_notebook()
    if document is None:
        raise NotFound(f"run {found.id} executed no notebook")
    return notebook_page(document, f"Executed notebook of run {found.id}")


def run_comparison(project: Project, asked: Asked) -> Page:
    """Two runs side by side, down to the cells of their notebooks."""
    one, other = asked.words
    found = ask(project, "runs compare", (one, other))
    steps = [("Runs", "runs"), (f"run {found.runs[0].id}", found.runs[0].path)]
    page = _one(asked, found, "runs", steps)
    return replace(page, data={**page.data, "other": found.runs[1]})


def _one_run(project: Project, asked: Asked) -> Run:
    found = ask(project, "runs show", asked.words)
    if not isinstance(found, Run):
        raise NotFound(f"there is no run '{asked.words[0]}'", "it is a sweep")
    return found


def _anchor(found: Any) -> str:
    from ..views.executed import anchor_of

    if found.error is None or found.error.cell is None or found.info.executed_digest is None:
        return ""
    return anchor_of(found.executed_notebook() or {}, found.error.cell)


def comparison(project: Project, asked: Asked) -> Page:
    """The runs that were ticked: two down to their cells, more side by side with their curves."""
    chosen = tuple(dict.fromkeys(asked.every.get("run", ())))
    if len(chosen) < 2:
        raise BadInput(
            "comparing needs two runs or more", "tick them in the list of runs, then press Compare"
        )
    if len(chosen) > MOST_COMPARED:
        raise BadInput(
            f"{len(chosen)} runs are too many to stand side by side", f"tick at most {MOST_COMPARED}"
        )
    found = project.runs.compare(*chosen)
    page = _one(asked, found, "runs", [("Runs", "runs")])
    return replace(page, template="compare.html", data={**page.data, "runs": found.runs})


def sweeps(project: Project, asked: Asked) -> Page:
    """Every sweep, those of a single run too."""
    experiment = asked.query.get("experiment", "").strip()
    found = project.runs.sweeps(experiment or None, SWEEPS_AT_MOST)
    title = f"Sweeps of {experiment}" if experiment else "Sweeps"
    return _many(asked, title, Listing("sweeps", found), "runs", "No sweep yet.", [("Runs", "runs")])


def sweep(project: Project, asked: Asked) -> Page:
    """One sweep: its runs, which is best, their curves, and on request what that depends on."""
    from ..views.leaderboard import view_of_runs

    found = project.runs.sweep(*asked.words)
    here = f"sweeps/{found.id}"
    order = _order(asked.query.get("order", ""))
    seen = view_of_runs(found, order=order)
    metric = found.metric if found.metric in found.metric_names else next(iter(found.metric_names), "")
    measured = [run for run in found.finished if metric in run.metrics]
    head = _head(found)
    data = {
        "head": head,
        "value": asked.draw(seen, heading=1, choosing=asked.choosing(here, {})),
        "steps": [("Runs", "runs")],
        "curves": asked.draw(found.plot("line")) if found.courses else "",
        "metric": metric,
        "may_depend": len(measured) > 2 and bool(found.varying),
        "importance": _importance(found, asked, metric) if asked.query.get("importance") and metric else "",
        "here": f"{here}?{urlencode({'order': order.text})}&" if order else f"{here}?",
    }
    return Page("sweep.html", head["title"], data, "runs")


def _sweeps(project: Project, experiment: str) -> list[Sweep]:
    """Return the newest sweeps that tried something; a single run is in the list of runs."""
    return [one for one in project.runs.sweeps(experiment or None, SWEEPS_AT_MOST) if one.size > 1]


def _importance(found: Runs, asked: Asked, metric: str) -> Markup:
    told = found.importance(metric)
    # where there is nothing to draw, what it says is why
    return asked.draw(told) if told.parts else Markup("<p>{}</p>").format(f"It cannot be told: {told.doubt}.")


def _is_best(project: Project, found: Run) -> bool:
    if found.sweep is None:
        return False
    try:
        return project.runs.sweep(found.sweep).best() == found
    except (
        MLOpsError
    ):  # nothing says what is better, or nothing was measured: there is no best to compare with
        return True


def _order(text: str) -> Order | None:
    """Return the first part that an order names, if it is one that a column stands for."""
    if not text.strip():
        return None
    key = parse_query("", text).order[0]
    return Order(f"{key.field.group}.{key.field.name}", key.down)


def data_list(project: Project, asked: Asked) -> Page:
    """The datasets, and those of which only removed versions are left."""
    empty = "Nothing yet. `mlops data commit NAME FILE` makes the first version."
    return _with_removed(asked, "Data", ask(project, "data list", options={"all": "1"}), empty)


def dataset(project: Project, asked: Asked) -> Page:
    """The versions of one dataset, and those that were removed."""
    if "@" in asked.words[0]:
        name, _, version = asked.words[0].partition("@")
        raise NotFound(
            f"there is no dataset '{asked.words[0]}'", f"{version} of {name} is in its list of versions"
        )
    found = ask(project, "data versions", asked.words, {"all": "1"})
    return _with_removed(asked, asked.words[0], found, "Every version was removed.", [("Data", "data")])


def data_version(project: Project, asked: Asked) -> Page:
    """One version of a dataset, where it comes from, and a way to what it changed."""
    name, number = asked.words
    ref, steps = f"{name}@v{number}", [("Data", "data"), (name, f"data/{name}")]
    versions = ask(project, "data versions", (name,), {"all": "1"})
    removed = [one for one in versions if one.removed and one.number == int(number)]
    if removed:  # the history and other versions lead here for ever
        return _one(asked, removed[0], "data", steps)
    found = ask(project, "data show", (ref,))
    page = _one(asked, found, "data", steps)
    numbers = [one.number for one in versions if one.number < int(number) and not one.removed]
    earlier = [(f"v{one}", f"data/{name}/{number}/diff/{one}") for one in numbers[:EARLIER_VERSIONS]]
    lineage = asked.draw(ask(project, "data lineage", (ref,)), heading=2)
    return replace(page, template="data.html", data={**page.data, "earlier": earlier, "lineage": lineage})


def data_diff(project: Project, asked: Asked) -> Page:
    """What one version of a dataset changed against an earlier one, or against one of another dataset."""
    name, number, *other, earlier = asked.words
    found = ask(project, "data diff", (f"{other[0] if other else name}@v{earlier}", f"{name}@v{number}"))
    trail = [("Data", "data"), (name, f"data/{name}"), (f"v{number}", f"data/{name}/{number}")]
    return _one(asked, found, "data", trail)


def models(project: Project, asked: Asked) -> Page:
    """The models and what their aliases point at."""
    found = ask(project, "models list")
    return _many(
        asked,
        "Models",
        found,
        "models",
        "Nothing yet. `mlops models register NAME RUN` makes the first version.",
    )


def model(project: Project, asked: Asked) -> Page:
    """The versions of one model, and the history of its aliases."""
    (name,) = asked.words
    found = ask(project, "models versions", (name,))
    page = _many(asked, name, found, "models", trail=[("Models", "models")])
    return replace(page, data={**page.data, "histories": _histories(project, asked, name)})


def model_version(project: Project, asked: Asked) -> Page:
    """One version of a model, with the history of its model's aliases."""
    name, number = asked.words
    found = ask(project, "models show", (f"{name}@v{number}",))
    page = _one(asked, found, "models", [("Models", "models"), (name, f"models/{name}")])
    return replace(page, data={**page.data, "histories": _histories(project, asked, name)})


def approvals(project: Project, asked: Asked) -> Page:
    """The requests that wait, and those that are decided."""
    found = ask(project, "approvals list", options={"all": "1"})
    waiting = tuple(approval for approval in found if approval.state == "pending")
    decided = tuple(approval for approval in found if approval.state != "pending")
    data = {"waiting": _list(asked, "approvals", waiting), "decided": _list(asked, "approvals", decided)}
    return Page("approvals.html", "Approvals", data, "approvals")


def approval(project: Project, asked: Asked) -> Page:
    """One request, and the means to vote on it."""
    found = ask(project, "approvals show", asked.words)
    page = _one(asked, found, "approvals", [("Approvals", "approvals")])
    data = {**page.data, **_request(asked, found), "hindrance": None, "where": ""}
    if found.state == "pending":
        data["hindrance"] = hindrance = project.approvals.may_vote(found.id)
        data["where"] = _where_to_vote(project, found, hindrance)
    return replace(page, template="approval.html", data=data)


def alerts(project: Project, asked: Asked) -> Page:
    """What needs attention, and what somebody took care of."""
    found = ask(project, "alerts list", options={"all": "1"})
    opened = tuple(alert for alert in found if alert.state == "open")
    others = tuple(alert for alert in found if alert.state != "open")
    data = {"open": _list(asked, "alerts", opened), "others": _list(asked, "alerts", others)}
    return Page("alerts.html", "Alerts", data, "alerts")


def alert(project: Project, asked: Asked) -> Page:
    """One alert, and the means to acknowledge it."""
    found = ask(project, "alerts show", asked.words)
    page = _one(asked, found, "alerts", [("Alerts", "alerts")])
    role = project.people.role_of(project.people.actor.name)
    return replace(
        page, template="alert.html", data={**page.data, "alert": found, "may": role >= Role.OPERATOR}
    )


def audit(project: Project, asked: Asked) -> Page:
    """The history, newest first, a page at a time."""
    return _audit(project, asked)


def audit_verified(project: Project, asked: Asked) -> Page:
    """The history with the proof that it is whole, or where it is not."""
    page = _audit(project, asked)
    return replace(page, data={**page.data, "report": _head(ask(project, "audit verify"))})


def _audit(project: Project, asked: Asked) -> Page:
    about = asked.query.get("about", "").strip()
    newest = _number_of_events(project)
    before = _number(asked.query.get("before", ""), newest + 1, newest + 1)
    if about:
        matching = [event for event in project.events(about=about) if event.seq < before]
        events, older = matching[-EVENTS_A_PAGE:], len(matching) > EVENTS_A_PAGE
    else:
        since = max(before - 1 - EVENTS_A_PAGE, 0)
        events, older = [event for event in project.events(since=since) if event.seq < before], since > 0
    data = {
        "about": about,
        "count": newest,
        "events": _list(asked, "events", tuple(reversed(events))),
        "older": events[0].seq if older else 0,
        "latest": before > newest,
        "report": None,
    }
    return Page("audit.html", "Audit", data, "audit")


@cache
def _verbs() -> dict[tuple[str, ...], Verb]:
    for module in _VERBS_OF:
        import_module(f"jupyter_mlops.commands.{module}")
    return registered()


def _one(asked: Asked, value: Value, nav: str, trail: list[tuple[str, str]]) -> Page:
    head = _head(value)
    data = {"head": head, "value": asked.draw(value, heading=1), "steps": trail}
    return Page("value.html", head["title"], data, nav)


def _head(value: Value) -> dict[str, str]:
    from ..views import view

    seen = view(value)
    title, rest = seen.headline
    return {"title": title, "rest": rest.removeprefix(" · "), "tone": seen.tone}


def _many(
    asked: Asked,
    title: str,
    found: Any,
    nav: str,
    empty: str = "",
    trail: list[tuple[str, str]] | None = None,
) -> Page:
    return Page(
        "listing.html",
        title,
        {"table": asked.draw(found) if len(found) else "", "empty": empty, "steps": trail or []},
        nav,
    )


def _with_removed(
    asked: Asked, title: str, found: Any, empty: str, trail: list[tuple[str, str]] | None = None
) -> Page:
    """Return the page of a listing of data, what was removed below what is there."""
    there = Listing(found.kind, tuple(one for one in found if not one.removed))
    page = _many(asked, title, there, "data", empty, trail)
    removed = _list(asked, found.kind, tuple(one for one in found if one.removed))
    return replace(page, data={**page.data, "removed": removed})


def _list(asked: Asked, kind: str, items: tuple[Any, ...]) -> Markup | str:
    return asked.draw(Listing(kind, tuple(items))) if items else ""


def _histories(project: Project, asked: Asked, name: str) -> list[tuple[str, Markup]]:
    moves = (
        (alias, ask(project, "models history", (name, alias)))
        for alias in project.people.policy.alias_names(name)
    )
    return [(alias, asked.draw(found)) for alias, found in moves if len(found)]


def _request(asked: Asked, approval: Any) -> dict[str, Any]:
    """What the forms of a vote need to say what would happen."""
    if approval.kind == "policy":
        consequence = "the new policy comes into force"
    else:
        consequence = f"{approval.alias} points at {approval.model}"
    return {"approval": approval, "consequence": consequence}


def _where_to_vote(project: Project, approval: Any, hindrance: Refused | Conflict | None) -> str:
    if hindrance is None or project.people.actor.verified:
        return ""
    rule = project.people.policy.alias(approval.model.partition("@")[0], approval.alias)
    if approval.kind != "policy" and (rule is None or rule.identity != "verified"):
        return ""
    return _WHERE_TO_VOTE.format(channel=f" ({project.config.slack.approvals_channel})")


def _newest(project: Project, count: int) -> tuple[Event, ...]:
    since = max(_number_of_events(project) - count, 0)
    return tuple(reversed(tuple(project.events(since=since))))


def _number_of_events(project: Project) -> int:
    # numbers of events have no gaps, so the newest number is the count
    newest = project.store.one("SELECT MAX(seq) AS seq FROM events")
    return int((newest or {}).get("seq") or 0)


def _number(text: str, default: int, most: int) -> int:
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadInput(f"'{text}' is no number")
    return max(1, min(int(text), most))


def _names(option: Any) -> list[str]:
    return [name.lstrip("-") for name in option.opts]
