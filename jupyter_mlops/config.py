"""Configuration: mlops.toml and the environment, read and validated once. Used by ``Project``.

The part of the file that decides what people may do is the policy; it counts only as recorded in the store.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from .errors import BadConfig, BadInput, close_matches
from .refs import check_alias, check_name

FILE = "mlops.toml"
DEFAULT_REMOTE = "default"
ROLES = ("viewer", "contributor", "operator", "approver", "admin")
_SECRET_KEY = re.compile(r"(token|password|passwd|secret|api_?key|credential)", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"(xox[abprs]-|xapp-|AKIA[0-9A-Z]{12}|://[^/\s:@]+:[^/\s@]+@)")
_SCHEDULER = re.compile(r"(tcp|tls|ws|wss|ucx)://[^\s/]+")
_DURATION = re.compile(r"([1-9][0-9]{0,4})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class People:
    """Who has which role; each role includes the ones before it. Services never vote."""

    viewer: tuple[str, ...] = ()
    contributor: tuple[str, ...] = ()
    operator: tuple[str, ...] = ()
    approver: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """One named condition: a floor for a scorer, no worse than another alias, or a compatible signature."""

    scorer: str | None = None
    at_least: float | None = None
    not_worse_than: str | None = None
    margin: float = 0.0
    signature: str | None = None

    @property
    def name(self) -> str:
        """How the gate is called in reports."""
        if self.signature:
            return f"signature {self.signature}"
        if self.not_worse_than:
            return f"{self.scorer} not worse than {self.not_worse_than} − {self.margin:g}"
        return f"{self.scorer} at least {self.at_least:g}"


@dataclass(frozen=True, slots=True)
class AliasPolicy:
    """What must be true before an alias may move."""

    approvals: int = 0
    approvers: tuple[str, ...] = ("approver",)
    identity: str = "any"
    expires: str = "7d"
    gates: tuple[Gate, ...] = ()

    @property
    def lifetime(self) -> timedelta:
        """How long a request for this alias stays open."""
        return duration(self.expires)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The declared data on which gates score a model: a dataset ref and its target column."""

    data: str
    target: str


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """What the project declares for one model: how it is trained, judged and pointed at."""

    notebook: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    evaluate: Evaluation | None = None
    aliases: Mapping[str, AliasPolicy] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides who may do what, and which types a model may hold."""

    people: People = field(default_factory=People)
    aliases: Mapping[str, AliasPolicy] = field(default_factory=dict)
    models: Mapping[str, ModelPolicy] = field(default_factory=dict)
    trust: tuple[str, ...] = ()

    def alias(self, model: str, alias: str) -> AliasPolicy | None:
        """Return the rule for moving ``alias`` of ``model``, the model's own before the project's."""
        own = self.models[model].aliases if model in self.models else {}
        return own.get(alias) or self.aliases.get(alias)

    def alias_names(self, model: str) -> list[str]:
        """Return the declared aliases of ``model``."""
        own = self.models[model].aliases if model in self.models else {}
        return sorted({*self.aliases, *own})

    def to_document(self) -> dict[str, Any]:
        """Return the policy as JSON-ready types; equal policies give equal documents."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Policy:
        """Return the policy that ``to_document`` described."""
        return cls(
            people=_people(document["people"]),
            aliases={name: _alias(table, f"aliases.{name}") for name, table in document["aliases"].items()},
            models={name: _model(table, f"models.{name}") for name, table in document["models"].items()},
            trust=tuple(document["trust"]),
        )


@dataclass(frozen=True, slots=True)
class Slack:
    """Where the bot speaks; its tokens come from the environment."""

    channel: str = "#mlops"
    approvals: str = ""
    alerts: str = ""
    notebooks: tuple[str, ...] = ()

    @property
    def approvals_channel(self) -> str:
        """The channel for requests: its own, else the common one."""
        return self.approvals or self.channel

    @property
    def alerts_channel(self) -> str:
        """The channel for alerts: its own, else the common one."""
        return self.alerts or self.channel

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel the bot must be in."""
        return tuple(dict.fromkeys((self.channel, self.approvals_channel, self.alerts_channel)))


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """Where a remote is. With ``single_writer``, its store cannot keep two pushes at once apart."""

    url: str
    single_writer: bool = False


@dataclass(frozen=True, slots=True)
class Dask:
    """Where runs go with ``--executor dask``: the address of the scheduler, or nothing."""

    address: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """One project's configuration as written in its file; ``remotes`` has the usual one as ``default``.

    ``upkeep`` says whether commits start the process that describes and compacts in the background.
    """

    name: str
    store: str
    remotes: Mapping[str, RemotePlace]
    policy: Policy
    slack: Slack
    upkeep: bool = True
    dask: Dask = Dask()


def read_config(root: Path) -> Config:
    """Read and validate ``mlops.toml`` in ``root``; raises ``BadConfig`` that names the key."""
    path = root / FILE
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BadConfig(f"{path} is missing", "`mlops init` writes one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(
            f"{path} cannot be read: {error}", "mend that line; TOML strings need quotes"
        ) from error
    _refuse_secrets(tables, ())
    return parse_config(tables, root)


def parse_config(tables: Mapping[str, Any], root: Path) -> Config:
    """Return the validated configuration of the TOML ``tables``."""
    sections = ("project", "people", "models", "aliases", "slack", "trust", "remotes", "data", "executors")
    _known(tables, sections, FILE)
    project = _table(tables, "project", "project")
    _known(project, ("name", "store", "remote"), "[project]")
    name = _text(project.get("name", root.name), "[project] name")
    slack = _table(tables, "slack", "slack")
    _known(slack, ("channel", "approvals", "alerts", "notebooks"), "[slack]")
    trust = _table(tables, "trust", "trust")
    _known(trust, ("types",), "[trust]")
    data = _table(tables, "data", "data")
    _known(data, ("upkeep",), "[data]")
    upkeep = data.get("upkeep", "on")
    if upkeep not in ("on", "off"):
        raise BadConfig(f'[data] upkeep must be "on" or "off", not {upkeep!r}')
    policy = Policy(
        people=_people(_table(tables, "people", "people")),
        aliases={
            alias: _alias(table, f"aliases.{alias}")
            for alias, table in _table(tables, "aliases", "aliases").items()
        },
        models={
            model: _model(table, f"models.{model}")
            for model, table in _table(tables, "models", "models").items()
        },
        trust=_texts(trust.get("types", ()), "[trust] types"),
    )
    _check_approvers(policy)
    return Config(
        name=name,
        store=_store(project.get("store"), root),
        remotes=_remotes(_table(tables, "remotes", "remotes"), project.get("remote"), root),
        policy=policy,
        slack=Slack(
            channel=_text(slack.get("channel", "#mlops"), "[slack] channel"),
            approvals=_text(slack.get("approvals", ""), "[slack] approvals"),
            alerts=_text(slack.get("alerts", ""), "[slack] alerts"),
            notebooks=_texts(slack.get("notebooks", ()), "[slack] notebooks"),
        ),
        upkeep=upkeep == "on",
        dask=_dask(_table(tables, "executors", "executors")),
    )


def duration(text: str) -> timedelta:
    """Return the time that ``30s``, ``15m``, ``2h``, ``7d`` or ``2w`` means; raises ``BadConfig``."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise BadConfig(f"{text!r} is no length of time", "write 30s, 15m, 2h, 7d or 2w")
    return timedelta(seconds=int(match.group(1)) * _SECONDS[match.group(2)])


def _check_approvers(policy: Policy) -> None:
    """Raise ``BadConfig`` for an approver who is neither a role nor a person: nobody could ever approve."""
    people = {name for role in ROLES for name in getattr(policy.people, role)}
    rules = {f"aliases.{alias}": rule for alias, rule in policy.aliases.items()}
    for model, declared in policy.models.items():
        rules |= {f"models.{model}.aliases.{alias}": rule for alias, rule in declared.aliases.items()}
    for where, rule in rules.items():
        for entry in rule.approvers:
            if entry not in ROLES and entry not in people and "@" not in entry:
                raise BadConfig(
                    f"[{where}] approvers: '{entry}' is no role and nobody in [people]",
                    close_matches(entry, (*ROLES, *people), f"roles: {', '.join(ROLES)}"),
                )


def _remotes(tables: Mapping[str, Any], default: Any, root: Path) -> dict[str, RemotePlace]:
    """Return the declared remotes by name; the project's own, a URL or one of their names, is ``default``."""
    remotes = {}
    for name, table in tables.items():
        where = f"[remotes.{name}]"
        check_remote_name(name)
        _known(table, ("url", "single_writer"), where)
        if "url" not in table:
            raise BadConfig(
                f"{where} has no url", f'url = "s3://bucket/prefix"; or `mlops data remote add {name} URL`'
            )
        single = table.get("single_writer", False)
        if not isinstance(single, bool):
            raise BadConfig(f"{where} single_writer must be true or false, not {single!r}")
        remotes[name] = RemotePlace(_url(_text(table["url"], f"{where} url"), root), single)
    if default is None:
        return remotes
    text = _text(default, "[project] remote")
    if text in remotes:
        return {**remotes, DEFAULT_REMOTE: remotes[text]}
    if DEFAULT_REMOTE in remotes:
        raise BadConfig(
            f"[project] remote and [remotes.{DEFAULT_REMOTE}] both say which remote is the default one",
            "remove one of them",
        )
    return {DEFAULT_REMOTE: RemotePlace(_url(text, root)), **remotes}


def check_remote_name(name: str) -> None:
    """Raise ``BadInput`` unless ``name`` can name a remote."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}", name):
        raise BadInput(f"{name!r} cannot name a remote", "use letters, digits, '-' and '_'")


def _url(text: str, root: Path) -> str:
    """Return a URL as it is, a path as seen from the project."""
    if "://" in text or not text.strip():
        return text
    return os.path.normpath(root / Path(text).expanduser())


def _store(setting: Any, root: Path) -> str:
    """Return the URL or path of the store, a path as seen from the project; empty means the usual place."""
    named = os.environ.get("MLOPS_STORE", "")
    text = named if setting is None else _text(setting, "[project] store")
    if text.startswith("env:"):
        variable = text.removeprefix("env:")
        text = os.environ.get(variable, "")
        if not text:
            raise BadConfig(
                f"[project] store is env:{variable}, and that variable is not set",
                f"export {variable}=postgresql://…",
            )
    if text.startswith(("postgresql://", "postgres://")) or not text:
        return text
    if "://" in text:
        kind = text.partition("://")[0]  # the rest may hold a password
        raise BadConfig(f"the store's address begins with {kind}://", "write postgresql://… or a path")
    return str(root / Path(text).expanduser())


def _dask(executors: Mapping[str, Any]) -> Dask:
    _known(executors, ("dask",), "[executors]")
    table = _table(executors, "dask", "executors.dask")
    _known(table, ("address",), "[executors.dask]")
    address = _text(table.get("address", ""), "[executors.dask] address")
    if address and not _SCHEDULER.fullmatch(address):
        raise BadConfig(
            f"[executors.dask] address {address!r} is none of a Dask scheduler", "write tcp://HOST:8786"
        )
    return Dask(address)


def _people(table: Mapping[str, Any]) -> People:
    _known(table, (*ROLES, "services"), "[people]")
    return People(**{role: _texts(names, f"[people] {role}") for role, names in table.items()})


def _model(table: Any, where: str) -> ModelPolicy:
    check_name(where.partition(".")[2], "model")
    _known(table, ("notebook", "inputs", "evaluate", "aliases"), f"[{where}]")
    evaluate = table.get("evaluate")
    if evaluate is not None:
        _known(evaluate, ("data", "target"), f"[{where}] evaluate")
        if not {"data", "target"} <= set(evaluate):
            raise BadConfig(
                f"[{where}] evaluate needs data and target", '{ data = "holdout@golden", target = "y" }'
            )
        evaluate = Evaluation(_text(evaluate["data"], where), _text(evaluate["target"], where))
    return ModelPolicy(
        notebook=table.get("notebook"),
        inputs={key: _text(ref, f"[{where}] inputs") for key, ref in (table.get("inputs") or {}).items()},
        evaluate=evaluate,
        aliases={
            name: _alias(rule, f"{where}.aliases.{name}")
            for name, rule in (table.get("aliases") or {}).items()
        },
    )


def _alias(table: Any, where: str) -> AliasPolicy:
    check_alias(where.rpartition(".")[2])
    _known(table, ("approvals", "approvers", "identity", "expires", "gates"), f"[{where}]")
    approvals = table.get("approvals", 0)
    if isinstance(approvals, bool) or not isinstance(approvals, int) or not 0 <= approvals <= 20:
        raise BadConfig(f"[{where}] approvals must be a number from 0 to 20, not {approvals!r}")
    identity = table.get("identity", "any")
    if identity not in ("any", "verified"):
        raise BadConfig(f'[{where}] identity must be "any" or "verified", not {identity!r}')
    expires = _text(table.get("expires", "7d"), f"[{where}] expires")
    try:
        duration(expires)
    except BadConfig as error:
        raise BadConfig(f"[{where}] expires: {error.message}", error.hint) from None
    return AliasPolicy(
        approvals=approvals,
        approvers=_texts(table.get("approvers", ("approver",)), f"[{where}] approvers"),
        identity=identity,
        expires=expires,
        gates=tuple(_gate(gate, f"[{where}] gates") for gate in table.get("gates", ())),
    )


def _gate(table: Mapping[str, Any], where: str) -> Gate:
    _known(table, ("scorer", "at_least", "not_worse_than", "margin", "signature"), where)
    given = {
        key: value
        for key, value in table.items()
        if value is not None and not (key == "margin" and value == 0)
    }
    if set(given) == {"signature"} and given["signature"] == "compatible":
        return Gate(signature="compatible")
    if set(given) == {"scorer", "at_least"}:
        return Gate(scorer=_text(given["scorer"], where), at_least=_number(given["at_least"], where))
    if (
        "scorer" in given
        and "not_worse_than" in given
        and set(given) <= {"scorer", "not_worse_than", "margin"}
    ):
        return Gate(
            scorer=_text(given["scorer"], where),
            not_worse_than=_text(given["not_worse_than"], where),
            margin=_number(given.get("margin", 0.0), where),
        )
    raise BadConfig(
        f"{where}: {dict(given)} is no gate",
        '{ scorer = "roc_auc", at_least = 0.8 }, '
        '{ scorer = "roc_auc", not_worse_than = "production", margin = 0.01 }'
        ' or { signature = "compatible" }',
    )


def _known(table: Any, keys: Iterable[str], where: str) -> None:
    if not isinstance(table, Mapping):
        raise BadConfig(f"{where} must be a table", "write [section] and key = value lines")
    for key in table:
        if key not in keys:
            raise BadConfig(
                f"{where} has an unknown key '{key}'", close_matches(key, keys, f"known: {', '.join(keys)}")
            )


def _table(tables: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    table = tables.get(key, {})
    if not isinstance(table, Mapping):
        raise BadConfig(f"[{where}] must be a table")
    return table


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise BadConfig(f"{where} must be text in quotes, not {value!r}")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise BadConfig(f"{where} must be a list of texts, not {value!r}")
    return tuple(value)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadConfig(f"{where} needs a number, not {value!r}")
    return float(value)


def _refuse_secrets(table: Mapping[str, Any], path: tuple[str, ...]) -> None:
    for key, value in table.items():
        if isinstance(value, Mapping):
            _refuse_secrets(value, (*path, key))
        elif isinstance(value, str) and (
            _SECRET_VALUE.search(value) or (path and _SECRET_KEY.search(key) and not value.startswith("env:"))
        ):
            raise BadConfig(
                f"[{'.'.join(path)}] {key} holds a secret",
                "secrets come from the environment; remove it from the file",
            )
