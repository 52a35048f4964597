"""Routes: every address of the page and of the REST interface, with the verb and the resource behind it."""

from __future__ import annotations

from typing import Any

from . import artifacts, contents
from .handlers import NoSuchEndpoint, NoSuchPage, acts, checks, frames, reads, sends, shows, writes

Route = tuple[str, type[Any]]
_NAME = r"([^/]+)"
_NUMBER = r"([0-9]{1,18})"
_ID = r"([^/]+)"


def routes() -> list[Route]:
    """Return the routes, the specific ones first."""
    return [*_rest(), *_pages(), (r"/mlops/api(?:/.*)?", NoSuchEndpoint), (r"/mlops/.*", NoSuchPage)]


def _pages() -> list[Route]:
    return [
        (r"/mlops/?", shows(contents.overview, "overview")),
        (r"/mlops/runs/?", shows(contents.runs, "runs")),
        (r"/mlops/runs/compare/?", shows(contents.comparison, "runs")),
        (rf"/mlops/runs/{_ID}/?", shows(contents.run, "runs")),
        (rf"/mlops/runs/{_ID}/notebook/?", shows(contents.run_notebook, "runs")),
        (rf"/mlops/runs/{_ID}/notebook/content", frames(contents.run_notebook_content, "runs")),
        (rf"/mlops/runs/{_ID}/artifacts/{_NAME}/?", shows(artifacts.artifact, "runs")),
        (rf"/mlops/runs/{_ID}/artifacts/{_NAME}/content", sends(artifacts.artifact_content, "runs")),
        (rf"/mlops/runs/{_ID}/compare/{_ID}/?", shows(contents.run_comparison, "runs")),
        (r"/mlops/sweeps/?", shows(contents.sweeps, "runs")),
        (rf"/mlops/sweeps/{_ID}/?", shows(contents.sweep, "runs")),
        (r"/mlops/data/?", shows(contents.data_list, "data")),
        (rf"/mlops/data/{_NAME}/?", shows(contents.dataset, "data")),
        (rf"/mlops/data/{_NAME}/{_NUMBER}/?", shows(contents.data_version, "data")),
        (rf"/mlops/data/{_NAME}/{_NUMBER}/diff/{_NUMBER}/?", shows(contents.data_diff, "data")),
        (rf"/mlops/data/{_NAME}/{_NUMBER}/diff/{_NAME}/{_NUMBER}/?", shows(contents.data_diff, "data")),
        (r"/mlops/models/?", shows(contents.models, "models")),
        (rf"/mlops/models/{_NAME}/?", shows(contents.model, "models")),
        (rf"/mlops/models/{_NAME}/{_NUMBER}/?", shows(contents.model_version, "models")),
        (r"/mlops/approvals/?", shows(contents.approvals, "approvals")),
        (rf"/mlops/approvals/{_ID}/?", shows(contents.approval, "approvals")),
        (rf"/mlops/approvals/{_ID}/approve", acts("approve", "approvals", contents.approval, ("reason",))),
        (rf"/mlops/approvals/{_ID}/reject", acts("reject", "approvals", contents.approval, ("reason",))),
        (r"/mlops/alerts/?", shows(contents.alerts, "alerts")),
        (rf"/mlops/alerts/{_ID}/?", shows(contents.alert, "alerts")),
        (rf"/mlops/alerts/{_ID}/acknowledge", acts("alerts acknowledge", "alerts", contents.alert)),
        (r"/mlops/audit/?", shows(contents.audit, "audit")),
        (r"/mlops/audit/verify", checks(contents.audit_verified, "audit")),
    ]


def _rest() -> list[Route]:
    api = "/mlops/api"
    return [
        (rf"{api}/status", reads("status", "overview")),
        (rf"{api}/whoami", reads("whoami", "overview")),
        (rf"{api}/policy", reads("policy show", "policy")),
        (rf"{api}/runs", reads("runs list", "runs", ("where", "order", "limit", "experiment"))),
        (rf"{api}/runs/{_ID}", reads("runs show", "runs")),
        (rf"{api}/runs/{_ID}/compare/{_ID}", reads("runs compare", "runs")),
        (rf"{api}/data", reads("data list", "data", ("all",))),
        (rf"{api}/data/{_NAME}", reads("data versions", "data", ("all",))),
        (rf"{api}/data/{_NAME}/{_NUMBER}", reads("data show", "data", word=_ref)),
        (rf"{api}/data/{_NAME}/{_NUMBER}/lineage", reads("data lineage", "data", word=_ref)),
        (rf"{api}/data/{_NAME}/{_NUMBER}/diff/{_NUMBER}", reads("data diff", "data", word=_refs)),
        (rf"{api}/data/{_NAME}/{_NUMBER}/diff/{_NAME}/{_NUMBER}", reads("data diff", "data", word=_refs)),
        (rf"{api}/models", reads("models list", "models")),
        (rf"{api}/models/{_NAME}", reads("models versions", "models")),
        (rf"{api}/models/{_NAME}/{_NUMBER}", reads("models show", "models", word=_ref)),
        (rf"{api}/models/{_NAME}/history/{_NAME}", reads("models history", "models")),
        (rf"{api}/approvals", reads("approvals list", "approvals", ("all",))),
        (rf"{api}/approvals/{_ID}", reads("approvals show", "approvals")),
        (rf"{api}/approvals/{_ID}/approve", writes("approve", "approvals", ("reason",))),
        (rf"{api}/approvals/{_ID}/reject", writes("reject", "approvals", ("reason",))),
        (rf"{api}/alerts", reads("alerts list", "alerts", ("all",))),
        (rf"{api}/alerts/{_ID}", reads("alerts show", "alerts")),
        (rf"{api}/alerts/{_ID}/acknowledge", writes("alerts acknowledge", "alerts", ())),
        (rf"{api}/audit", reads("audit log", "audit", ("since", "about", "limit"))),
        (rf"{api}/audit/verify", reads("audit verify", "audit")),
    ]


def _ref(name: str, number: str) -> tuple[str, ...]:
    return (f"{name}@v{number}",)


def _refs(name: str, number: str, *before: str) -> tuple[str, ...]:
    *other, earlier = before
    return (f"{other[0] if other else name}@v{earlier}", f"{name}@v{number}")
