"""One value of every type, each with the same outside text wherever people may write something."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jupyter_mlops.automation import Overview
from jupyter_mlops.charts import bar, grouped_bar, histogram, line, parallel, scatter
from jupyter_mlops.config import AliasPolicy, Evaluation, Gate, ModelPolicy, People, Policy
from jupyter_mlops.datasets import (
    Column,
    ColumnProfile,
    Dataset,
    DatasetVersion,
    Edge,
    Findings,
    Form,
    Lineage,
    Node,
)
from jupyter_mlops.datasets.diff import (
    CellExample,
    ColumnDiff,
    DatasetDiff,
    FileChanges,
    RowChange,
    SchemaChange,
    Shift,
    TableDiff,
)
from jupyter_mlops.datasets.diff import Distribution as Shapes
from jupyter_mlops.datasets.transfer import Moved, Remote, Transfer
from jupyter_mlops.models import Column as Input
from jupyter_mlops.models import Model, ModelVersion, Signature
from jupyter_mlops.monitoring import ColumnDrift, Distribution, DriftReport, Finding
from jupyter_mlops.monitoring.alerts import Alert
from jupyter_mlops.objects.upkeep.collect import GarbageReport
from jupyter_mlops.objects.upkeep.compact import CompactReport
from jupyter_mlops.objects.upkeep.verify import Damage, VerifyReport
from jupyter_mlops.people import Identity, PolicyInForce
from jupyter_mlops.promotion import Approval, GateReport, GateResult, Vote
from jupyter_mlops.runs import Artifact, Run, RunError, RunInfo, Runs, Sweep
from jupyter_mlops.runs.comparing.comparison import Course, SourceChange, compared
from jupyter_mlops.runs.comparing.importance import Importance, Share
from jupyter_mlops.runs.comparing.leaderboard import Leaderboard, Order, Within
from jupyter_mlops.runs.comparing.notebook_diff import CellChange, NotebookDiff
from jupyter_mlops.statistics import DriftPolicy
from jupyter_mlops.store import AuditReport, Event
from jupyter_mlops.store.aliases import AliasMove
from jupyter_mlops.value import Listing

AT, LATER = "2026-11-03T14:05:22.123456Z", "2026-11-03T14:09:00.000000Z"
DIGEST = "b3:" + "4f6c2a9d10ef" * 5 + "abcd"
ANN, BO = "ann@example.com", "bo@example.com"

HOSTILE = {
    "a script": "<script>alert(1)</script>",
    "an attribute": "\"><img src=x onerror=alert(1)> ' onmouseover='y",
    "terminal escapes": "\x1b[31mred\x1b]0;title\x07\x9b2J\x7f\x00",
    "markdown": "a|b `c` *d* _e_ ~f~ $g$ [x](javascript:y) ![i](http://evil.example/i.png) \\",
    "a mention": "@everyone see http://evil.example and www.evil.example",
    "a heading": "# not a heading",
    "reordering": "safe\u202egpj.exe\u2066",
    "lines": "first\nsecond\r\nthird\tfourth\u2028fifth",
    "half a letter": "half\ud800",
    "wide letters": "你好世界 👩‍👩‍👧 " * 12,
    "right to left": "مرحبا بالعالم",
    "long": "x" * 300,
    "blank": " ",
    "an entity": "&lt;b&gt; &amp;amp;",
}


def values(text: str = "plain") -> dict[str, Any]:
    """Return a value of every type by its name, with ``text`` as every name and every remark in it."""
    profile = (
        ColumnProfile(text, "string", 5, 2, top=((text, 3), ("b", 2))),
        ColumnProfile("age", "int64", 0, 73, 0, 72, 32.4, (1, 9, 29, 55, 72), (0, 24, 48, 72), (9, 0, 4)),
    )
    columns = tuple(Column(one.name, one.type) for one in profile)
    findings = Findings(Form(columns, 7_043, {}, (text,)), profile)
    version = DatasetVersion(
        name=text,
        number=1,
        digest=DIGEST,
        kind="table",
        files=1,
        bytes=900_000,
        findings=findings,
        parents=(text,),
        message=text,
        at=AT,
        actor=text,
        key=(text,),
        aliases=(text,),
        source=text,
        note=text,
    )
    folder = DatasetVersion(
        name=text,
        number=2,
        digest=DIGEST,
        kind="folder",
        files=120,
        bytes=44_000_000,
        parents=(),
        message="",
        at=AT,
        actor=ANN,
        key=(),
        aliases=(),
        source=text,
    )
    lineage = Lineage(
        f"{text}@v1",
        (Node(f"data:{text}@v1", text, text), Node("run:7k3f9q2m", text, text), Node("model:m@v1", text)),
        (Edge(f"data:{text}@v1", "run:7k3f9q2m", "read"), Edge("run:7k3f9q2m", "model:m@v1", "model")),
        2,
    )
    dataset = Dataset(text, version, 2, {text: 1}, (text,))
    error = RunError(3, text, text, f"Traceback\n{text}", f"{text} = 1", 5)
    run = _run("7k3f9q2m", 1, text, metrics={text: 0.87, "auc": 0.81}, parameters={text: text, "C": 0.1})
    other = _run("a8c2d4e6", 2, text, metrics={"auc": float("nan")}, parameters={text: [text], "C": 1.0})
    failed = _run("b9d3e5f7", 3, text, status="failed", error=error, parameters={"C": 10.0})
    sweep = Sweep("sw33p234", text, text, 3, "finished", "auc", "maximize", AT, LATER, text)
    runs = Runs((run, _run("c2e4g6h8", 4, text, metrics={"auc": 0.5}), failed), sweep)
    signature = Signature((Input(text, "integer"), Input("b", "")), "class", (text, "Yes"))
    changed = (("-", text), ("+", text), (" ", text), ("…", "3 equal lines"))
    cells = (
        CellChange("changed", "code", 1, 2, changed, changed),
        CellChange("added", text, None, 3, (("+", text),)),
    )
    notebooks = NotebookDiff((text, "a8c2d4e6"), cells, 4)
    sources = (SourceChange(text, "changed", changed), SourceChange("b.py", "added", (("+", text),)))
    course = Course(text, {text: ((0, 1), (0.5, 0.7)), "b": ((0,), (0.4,))})
    close = replace(
        compared((run, other)), sources=sources, notebook=notebooks, courses=(course,), missing=(text,)
    )
    model_version = ModelVersion(
        name=text, number=2, digest=DIGEST, run="7k3f9q2m", author=text, actor=text, at=AT,
        signature=signature,
        bytes=12_345, framework="sklearn", estimator=text, aliases=(text,), note=text,
    )  # fmt: skip
    model = Model(text, model_version, 2, {text: 1})
    results = (
        GateResult(text, True, 0.8712, 0.8, 1_400, text),
        GateResult("roc_auc at least 0.8", False, 0.7996, 0.8, 1_400, text),
        GateResult("signature compatible", True, None, None, 0, text),
    )
    gates = GateReport(f"{text}@v2", DIGEST, text, results, f"{text}@v3", DIGEST, 1_400, f"{text}@v1")
    approval = _approval(text, "pending", gates)
    report = _drift(text)
    alert = Alert("k2m4", text, text, f"data:{text}@v2", "open", report.to_dict(), AT, text, AT, text)
    seen = Alert("n5p7", text, text, text, "acknowledged", {text: text}, AT, text, LATER, text)
    event = Event(
        7,
        AT,
        text,
        "slack",
        "data.committed",
        f"data:{text}@v1",
        {text: text, "digest": DIGEST},
        "0" * 64,
        "a" * 64,
    )
    move = AliasMove(text, 2, 1, AT, text, text, "a8c2")
    identity = Identity(text, "local", text, "admin", False)
    overview = Overview(
        text,
        text,
        "approver",
        (dataset,),
        (other,),
        (run, failed),
        (model,),
        (approval,),
        (approval,),
        (alert,),
        (text,),
    )
    figures = _figures(text)
    made = {
        "dataset version": version, "folder version": folder, "dataset": dataset, "alias move": move,
        "verification": VerifyReport("full", 3, 3, 9_000_000, 1.5, (), (), (), (), 0, 0),
        "damage": VerifyReport("sample", 3, 2, 9_000_000, 1.5, (Damage("ab" * 32, text, 3),), (text,),
        (text,), (text,), 3, 1),
        "mended damage": VerifyReport("quick", 3, 2, 0, 0.1, (Damage("ab" * 32, "is missing", 3),), (),
        (text,), (), 0, 1),
        "compaction": CompactReport(9_000_000, 900_000, 61.5, 8_000_000, 120, 4, 0, True),
        "compaction out of time": CompactReport(9_000_000, 9_000_000, 61.5, 8_000_000, 0, 0, 2, False),
        "empty compaction": CompactReport(0, 0, 0.0, 0, 0, 0, 0, True),
        "garbage": GarbageReport(False, 86_400, 9_000_000, 4_000_000, 3_000_000, 0, 0, 0, 5_000_000, 0, 2),
        "collection": GarbageReport(True, 86_400, 9_000_000, 4_000_000, 3_000_000, 3_000_000, 2, 1, 5_000_000,
        1_000_000, 0),
        "condemnation": GarbageReport(True, 86_400, 9_000_000, 4_000_000, 0, 0, 0, 0, 0, 0, 0),
        "trash brought back": GarbageReport(False, 86_400, 9_000_000, 0, 0, 0, 0, 0, 0, 0, 0, 5_000_000),
        "remote": Remote(text, text, True, True, text), "transfer": _transfer(text),
        "description": version.describe(), "lineage": lineage,
        "run": run, "failed run": failed, "run error": error, "sweep": sweep, "sweep of runs": runs,
        "runs": Runs((run, other, failed)), "comparison": runs.compare(),
        "close comparison": close, "notebook diff": notebooks,
        "equal notebooks": NotebookDiff((text, text), (), 7),
        "leaderboard": Leaderboard(Within(runs), Order("metrics.auc", True)).pick(run),
        "empty leaderboard": Leaderboard(Within(Runs(()))),
        "importance": Importance(text, 24, (Share(text, 0.8, 0.1), Share("b", 0.2, 0.05)), 0.7),
        "doubtful importance": Importance(text, 3, doubt=text), "artifact": run.artifacts[text],
        "model version": model_version, "model": model, "gate report": gates, "approval": approval,
        "moved approval": _approval(text, "moved", gates), "approval of a policy": _approval(text,
        "pending", None, "policy"),
        "drift report": report, "column drift": report.columns[text], "finding": report.findings[0],
        "alert": alert, "acknowledged alert": seen, "event": event, "identity": identity,
        "policy": PolicyInForce(3, DIGEST, AT, text, _policy(text), True, text), "overview": overview,
        "audit report": AuditReport(True, 12, "a" * 64), "tampered history": AuditReport(False, 12,
        "a" * 64, text),
        **{f"{figure.kind} figure": figure for figure in figures},
    }  # fmt: skip
    listed = {
        "datasets": (dataset,), "versions": (version, folder), "alias moves": (move,), "runs": (run, other,
        failed),
        "sweeps": (sweep,), "models": (model,), "model versions": (model_version,), "approvals": (approval,),
        "alerts": (alert, seen), "events": (event,), text: (identity,),
        "remotes": (Remote(text, text), Remote("default", text, True, True)),
    }  # fmt: skip
    made |= _diffs(text)
    listings = {f"listing of {kind}": Listing(kind, items) for kind, items in listed.items()}
    empty = {f"no {kind}": Listing(kind, ()) for kind in listed}
    return made | listings | empty


def _transfer(text: str) -> Transfer:
    moved = (
        Moved(f"{text}@v1", f"{text}@v1", "known"),
        Moved(f"{text}@v2", f"{text}@v3", "pulled"),
        Moved(f"{text}@v4", "", "fetched"),
    )
    return Transfer("pull", text, text, moved, 12_345_678, text)


def _run(id: str, number: int, text: str, **known: Any) -> Run:
    artifact = Artifact(text, "picture", DIGEST, 23_456)
    described = {
        "experiment": text, "status": "finished", "actor": text, "proof": "local", "kind": "notebook",
        "created_at": AT, "started_at": AT, "ended_at": LATER, "notebook": text, "sweep": "sw33p234",
        "tags": {text: text}, "inputs": {text: f"{text}@v2"}, "outputs": (text,),
        "artifacts": {text: artifact},
        "info": RunInfo(commit=text, dirty=True),
    }  # fmt: skip
    return Run(id=id, number=number, **{**described, **known})


def _approval(text: str, state: str, gates: GateReport | None, kind: str = "promotion") -> Approval:
    votes = (Vote(text, "slack", "approve", text, AT, True), Vote(BO, "jupyter", "reject", text, AT))
    return Approval(
        id="a8c2", kind=kind, model=f"{text}@v2", model_digest=DIGEST, alias=text, state=state, gates=gates,
        votes=votes, needed=2, requester=text, reason=text, at=AT, expires_at=LATER,
        decided_at=None if state == "pending" else LATER, outcome=text, holder=f"{text}@v1", binding="f" * 64,
        changes=(text,) if kind == "policy" else (),
    )  # fmt: skip


def _drift(text: str) -> DriftReport:
    shares = Distribution((0.1, 0.6, 0.3), (0.5, 0.3, 0.2), edges=(0.0, 1.0, 2.0, 3.0))
    words = Distribution((0.7, 0.3), (0.4, 0.6), labels=(text, "b"))
    columns = {
        text: ColumnDrift(
            text, "categorical", "drifted", True, "chi-square", 40.0, 1e-20, 1e-19, 0.31, 0.1, 3.1, (0.0,
            0.1),
            distribution=words,
        ),
        "delay": ColumnDrift(
            "delay", "numeric", "ok", False, "Kolmogorov-Smirnov", 0.02, 0.4, 0.6, 0.02, 0.05, 0.4,
            distribution=shares,
        ),
        "key": ColumnDrift("key", "other", "skipped: identifier"),
    }  # fmt: skip
    finding = Finding("unseen category", text, text, True)
    return DriftReport(
        f"{text}@v1", f"{text}@v2", (1_000, 2_000), True, columns, (finding,), 2, DriftPolicy()
    )


def _diffs(text: str) -> dict[str, Any]:
    shapes = Shapes((0.1, 0.6, 0.3), (0.5, 0.3, 0.2), edges=(0.0, 1.0, 2.0, 3.0))
    words = Shapes((0.7, 0.3), (0.4, 0.6), labels=(text, "b"))
    columns = {
        text: ColumnDiff(
            text, ("string", text), 2, (0, 3), (CellExample((text, 7), text, None),),
            Shift("shifted", True, "chi-square", 0.31, 0.1, 1e-20, 1e-19, words),
        ),
        "age": ColumnDiff(
            "age", ("int64", "int64"), 1, (0, 0), (CellExample((text, 8), 32, 33),),
            Shift("same", False, "Kolmogorov-Smirnov", 0.02, 0.05, 0.4, 0.6, shapes),
        ),
        "id": ColumnDiff("id", ("string", "string"), is_key=True),
        "same": ColumnDiff("same", ("bool", "bool")),
    }  # fmt: skip
    schema = tuple(
        SchemaChange(kind, text, text, text)
        for kind in ("added", "removed", "renamed", "retyped", "reordered")
    )
    row = {"id": text, text: text, "age": float("nan"), "blob": b"\x00", "list": [text], "none": None}
    table = TableDiff(
        path="", rows=(1_000, 1_002), key=(text,), matched="key given", added=3, removed=1, changed=2,
        unchanged=997, repeated=1, schema=schema, columns=columns, added_rows=(row,), removed_rows=(row,),
        changed_rows=(RowChange((text,), {text: (text, f"{text}!"), "age": (32, 33.5)}),), notes=(text,),
    )  # fmt: skip
    files = FileChanges(
        (f"{text}/new",), (f"{text}/old",), (text,), 3, {text: (10, 2_000), f"{text}/new": (None, 5)}
    )
    return {
        "dataset diff": DatasetDiff(f"{text}@v1", f"{text}@v2", FileChanges(), (table,), (text,)),
        "folder diff": DatasetDiff(f"{text}@v1", f"{text}@v2", files, (replace(table, path=text),), (text,)),
        "no difference": DatasetDiff(f"{text}@v1", f"{text}@v1", FileChanges(unchanged=1), identical=True),
        "table diff": table,
        "column diff": columns[text],
    }


def _figures(text: str) -> list[Any]:
    labels: dict[str, Any] = {"x_label": text, "y_label": text, "subtitle": text}
    return [
        line(text, {text: ([1, 2, 3], [0.3, None, 0.5])}, **labels),
        scatter(text, {text: ([1, 2], [3, 4])}, **labels),
        bar(text, [text, "b"], [1.0, None], **labels),
        grouped_bar(text, [text, "b"], {text: [1, 2], "now": [3, 4]}, **labels),
        histogram(text, [0, 1, 2], {text: [3, 4]}, **labels),
        parallel(text, [text, "auc"], {text: (text, 0.8), "other": (None, 0.7)}, **labels),
    ]


def _policy(text: str) -> Policy:
    rule = AliasPolicy(
        1, (text,), "verified", "7d", (Gate(scorer=text, at_least=0.8), Gate(signature="compatible"))
    )
    model = ModelPolicy(text, {text: text}, Evaluation(text, text), {text: rule})
    return Policy(
        People(admin=(text,), services=(text,)),
        {text: rule, "challenger": AliasPolicy()},
        {text: model},
        (text,),
    )


def page_link(path: str) -> str:
    """Make an address of a page's path, as the page does."""
    from urllib.parse import quote

    return f"/base/mlops/{quote(path, safe='/?=', errors='replace')}"
