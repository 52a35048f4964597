"""The approvals panel: open requests with buttons to vote. Shown by ``%mlops approvals``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import MLOpsError
from ..project import Project
from ..value import Listing, Value, bundle
from .afterwards import pressable, show


class ApprovalsPanel(Value):
    """A control panel of ipywidgets; in a saved notebook, its table."""

    def __init__(self, project: Project) -> None:
        import ipywidgets

        self._project = project
        self._said = ipywidgets.HTML()
        self._body = ipywidgets.VBox()
        refresh = ipywidgets.Button(description="Refresh", icon="refresh", tooltip="Read the requests again")
        refresh.on_click(lambda _: self._draw())
        self.widget = ipywidgets.VBox([self._body, self._said, refresh])
        self._draw()

    def to_dict(self) -> dict[str, Any]:
        """Return the open requests."""
        return self._listing().to_dict()

    def close(self) -> None:
        """Take the panel off the page."""
        self.widget.close_all()

    def __repr__(self) -> str:
        return f"<ApprovalsPanel: {len(self._listing())} open>"

    def _ipython_display_(self) -> None:
        if not pressable():
            raise NotImplementedError  # IPython shows another form then
        show(self.widget, bundle(self._listing()))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        # a saved notebook without widget state falls back to the table
        return {**self.widget._repr_mimebundle_(), **bundle(self._listing())}

    def _listing(self) -> Listing:
        return pending(self._project)

    def _draw(self) -> None:
        import ipywidgets

        listing = self._listing()
        rows = [self._row(approval) for approval in listing]
        if not rows:
            rows = [ipywidgets.HTML("<p>No request waits for a decision.</p>")]
        self._body.children = rows

    def _row(self, approval: Any) -> Any:
        import ipywidgets

        from ..views import to_html, view

        card = ipywidgets.HTML(to_html(view(approval), actions=False))
        hindrance = self._project.approvals.may_vote(approval.id)
        if hindrance is not None:
            from ..views import escape

            return ipywidgets.VBox([card, ipywidgets.HTML(f"<p><em>{escape(str(hindrance))}</em></p>")])
        reason = ipywidgets.Text(placeholder="reason (required to reject)", layout={"width": "22em"})
        approve = ipywidgets.Button(description="Approve", button_style="success", icon="check")
        reject = ipywidgets.Button(description="Reject", button_style="danger", icon="times")
        approvals = self._project.approvals
        approve.on_click(self._vote(lambda: approvals.approve(approval.id, reason=reason.value)))
        reject.on_click(self._vote(lambda: approvals.reject(approval.id, reason.value)))
        return ipywidgets.VBox([card, ipywidgets.HBox([reason, approve, reject])])

    def _vote(self, cast: Callable[[], Any]) -> Callable[[Any], None]:
        def clicked(_: Any) -> None:
            from ..views import escape, view

            try:
                self._said.value = f"<p>{escape(view(cast()).summary)}</p>"
            except MLOpsError as error:
                # an exception in a callback would vanish
                self._said.value = f"<p><strong>{escape(str(error))}</strong></p>"
            self._draw()

        return clicked


def pending(project: Project) -> Listing:
    """Return the requests that wait for a decision."""
    return Listing("approvals", project.approvals.list("pending"))
