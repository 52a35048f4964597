"""The leaderboard's panel: click a column to sort, type a filter, tick runs, look at them, register one.

Shown for a ``Leaderboard`` wherever the extension is loaded; its table is seen when the kernel is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import BadInput, MLOpsError
from ..project import Project
from ..runs import Leaderboard, Run, Runs
from ..value import Value, bundle
from ..views import escape, formats, to_html, view
from ..views.executed import notebook_frame
from ..views.leaderboard import columns_of
from ..views.view import Cell
from .afterwards import pressable, show

_ROWS = 15
_MOST_METRICS, _MOST_PARAMETERS = 8, 12
_HEIGHT = 30
_HEAD, _CELL = 20, 44  # letters of a column's name, and of a cell
_COLOURS = {"good": "#248a50", "bad": "#d94848", "muted": "#777b83", "warning": "#a97100"}
_FAILED = "failed"
_LINE = "1px solid rgba(128,128,128,0.18)"


class LeaderboardPanel(Value):
    """A control panel of ipywidgets over one leaderboard."""

    def __init__(self, board: Leaderboard, project: Callable[[], Project]) -> None:
        import ipywidgets

        self.board = board
        self._project = project
        self._page = 0
        self._drawing = False
        self._filter = ipywidgets.Text(
            value=board.where,
            placeholder="metrics.auc > 0.8 and parameters.C = 1",
            continuous_update=False,
            layout={"flex": "1 1 20em", "max_width": "42em"},
        )
        self._filter.observe(lambda change: self._do(lambda: self._filtered(change["new"])), "value")
        self._count = ipywidgets.HTML()
        only = f"status = {_FAILED!r}"
        self._failed = self._button("", lambda: setattr(self._filter, "value", only), tip="Show what failed")
        self._ticks = [self._tick() for _ in range(_ROWS)]
        # by place, not by name: a column that is made anew flickers, and a browser loses its way in it
        self._columns: list[tuple[Any, Any, Any]] = []
        self._orders: list[str] = []
        self._picks = self._picking()
        self._table = ipywidgets.HBox(layout={"overflow": "auto", "margin": "4px 0"})
        self._back = self._button("", self._turn(-1), icon="chevron-left", width="36px", tip="Earlier rows")
        self._on = self._button("", self._turn(1), icon="chevron-right", width="36px", tip="Later rows")
        self._metric = ipywidgets.Dropdown(layout={"width": "14em"})
        self._name = ipywidgets.Text(placeholder="name of the model", layout={"width": "13em"})
        self._said = ipywidgets.HTML()
        self._shown = ipywidgets.HTML(layout={"overflow": "auto"})
        self._one = [
            self._button("Details", self._details, tip="What made the ticked run, and what came of it"),
            self._button(
                "Executed notebook", self._executed, tip="The ticked run's notebook with its outputs"
            ),
        ]
        self._several = [
            self._button(
                "Compare", self._compare, tip="Two ticked runs down to the cell, or several side by side"
            )
        ]
        self._any = [
            self._button(
                "Curves",
                self._plotter("line"),
                tip="The metric step by step, of the ticked runs or the first",
            ),
            self._button(
                "Parallel", self._plotter("parallel"), tip="Every parameter that differs, to the metric"
            ),
            self._button("Importance", self._importance, tip="Which parameters the metric depends on"),
        ]
        self._register = self._button(
            "Register", self._registered, tip="Make the ticked run's model a version"
        )
        self.widget = ipywidgets.VBox(
            [
                self._row(
                    [
                        self._filter,
                        self._button(
                            "Clear", lambda: setattr(self._filter, "value", ""), tip="Show all runs"
                        ),
                        self._failed,
                        self._button("Refresh", self._refreshed, icon="refresh", tip="Read the runs again"),
                    ]
                ),
                self._table,
                self._row([self._back, self._on, self._count]),
                self._row([*self._one, *self._several, ipywidgets.HTML("&ensp;"), self._metric, *self._any]),
                self._row([self._name, self._register]),
                self._said,
                self._shown,
            ]
        )
        self._draw()

    def to_dict(self) -> dict[str, Any]:
        """Return what the leaderboard holds."""
        return self.board.to_dict()

    def close(self) -> None:
        """Take the panel off the page."""
        self.widget.close_all()

    def __repr__(self) -> str:
        return repr(self.board)

    def _ipython_display_(self) -> None:
        show(self.widget, bundle(self.board))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        # a saved notebook without widget state falls back to the table
        return {**self.widget._repr_mimebundle_(), **bundle(self.board)}

    def _draw(self) -> None:
        """Show the board as it is now."""
        runs = self.board.runs
        last = max((len(runs) - 1) // _ROWS, 0)
        self._page = min(self._page, last)
        shown = runs[self._page * _ROWS : (self._page + 1) * _ROWS]
        self._drawing = True
        try:
            picked = {run.id for run in self.board.picked}
            for place, tick in enumerate(self._ticks):
                run = shown[place] if place < len(shown) else None
                tick.layout.display = "flex" if run else "none"
                tick.value = run is not None and run.id in picked
                tick.tooltip = f"Pick run {run.id}" if run else ""
            self._table.children = (
                [self._picks, *self._drawn_columns(runs, shown)] if shown else [self._empty()]
            )
            known = list(runs.metric_names)
            if list(self._metric.options) != known:
                self._metric.options = known
            if (
                known
                and self.board.order
                and self.board.order.group == "metrics"
                and self.board.order.name in known
            ):
                self._metric.value = self._metric.value or self.board.order.name
        finally:
            self._drawing = False
        self._count.value = (
            f"<span style='color:#777b83'>{escape(self._counted(len(runs), len(shown)))}</span>"
        )
        failed = len(runs.failed)
        # on whatever page they are, runs that failed are said to be there
        self._failed.description = f"{formats.number(failed)} failed"
        self._failed.layout.display = "inline-block" if failed and not self.board.where else "none"
        self._back.disabled = self._page == 0
        self._on.disabled = self._page >= last and self.board.total is not None
        self._enable()

    def _drawn_columns(self, runs: Runs, shown: Sequence[Run]) -> list[Any]:
        ranks = self.board.order and self.board.order.group == "metrics"
        metric = self.board.order.name if self.board.order and ranks else runs.metric
        known = [
            (order, column)
            for order, column in columns_of(runs, metric, _MOST_METRICS, _MOST_PARAMETERS)
            if any(_text(column.show(run)).strip() for run in runs)
        ]
        self._orders = [order for order, _ in known]
        while len(self._columns) < len(known):
            self._columns.append(self._column(len(self._columns)))
        now = self.board.order
        for (order, column), (_, head, cells) in zip(known, self._columns, strict=False):
            arrow = "" if now is None or now.by != order else " ▾" if now.descending else " ▴"
            head.description = f"{formats.shortened(formats.clean(column.name), _HEAD)}{arrow}"
            head.tooltip = f"Sort by {order}" if order else ""
            head.disabled = not order
            head.layout.justify_content = "flex-end" if column.numeric else "flex-start"
            cells.value = "".join(_cell(column.show(run), column.numeric) for run in shown)
        return [box for box, _, _ in self._columns[: len(known)]]

    def _column(self, place: int) -> tuple[Any, Any, Any]:
        import ipywidgets

        head = self._button("", lambda: self._sort(self._orders[place]))
        head.style.font_weight = "600"
        head.style.button_color = "transparent"
        size = {"height": f"{_HEIGHT}px", "width": "auto", "margin": "0", "padding": "0 10px 0 8px"}
        head.layout = {**size, "display": "flex", "align_items": "center", "border_bottom": _LINE}
        cells = ipywidgets.HTML(layout={"margin": "0", "width": "auto"})
        return ipywidgets.VBox([head, cells], layout={"flex": "0 0 auto"}), head, cells

    def _picking(self) -> Any:
        import ipywidgets

        head = ipywidgets.HTML(layout={"height": f"{_HEIGHT}px", "margin": "0", "border_bottom": _LINE})
        return ipywidgets.VBox([head, *self._ticks], layout={"flex": "0 0 auto"})

    def _empty(self) -> Any:
        import ipywidgets

        said = "No run fits the filter." if self.board.where else "There are no runs yet."
        return ipywidgets.HTML(f"<p style='color:#777b83'>{escape(said)}</p>")

    def _counted(self, count: int, shown: int) -> str:
        if not count:
            return ""
        first = self._page * _ROWS + 1
        total = formats.number(count) if self.board.total == count else f"{formats.number(count)} and more"
        parts = [f"{formats.number(first)}–{formats.number(first + shown - 1)} of {total}"]
        if self.board.picked:
            parts.append(f"{formats.number(len(self.board.picked))} ticked")
        return " · ".join(parts)

    def _enable(self) -> None:
        ticked, known = len(self.board.picked), bool(self.board.runs)
        for button in (*self._one, self._register):
            button.disabled = ticked != 1
        for button in self._several:
            button.disabled = ticked < 2
        for button in self._any:
            button.disabled = not known or not self._metric.options

    def _tick(self) -> Any:
        import ipywidgets

        size = {"height": f"{_HEIGHT}px", "width": "28px", "margin": "0", "padding": "4px 0 0 6px"}
        place = {"align_items": "center", "border_bottom": _LINE}
        tick = ipywidgets.Checkbox(value=False, indent=False, layout={**size, **place})
        tick.observe(lambda _: self._ticked(), "value")
        return tick

    def _ticked(self) -> None:
        if self._drawing:
            return
        start = self._page * _ROWS
        here = self.board.runs[start : start + _ROWS]
        marked = {run.id for run, tick in zip(here, self._ticks, strict=False) if tick.value}
        kept = [run for run in self.board.picked if run.id in marked or run not in here]
        added = [run for run in here if run.id in marked and run not in kept]
        self._do(lambda: self.board.pick(*kept, *added))

    def _filtered(self, text: str) -> None:
        if text.strip() != self.board.where:
            self._page = 0
            self.board.filter(text)

    def _refreshed(self) -> None:
        self.board.refresh()

    def _sort(self, key: str) -> None:
        order = self.board.order
        again = order is not None and order.by == key
        self._page = 0
        self.board.sort(key, not order.descending if again and order else None)

    def _turn(self, by: int) -> Callable[[], None]:
        def turn() -> None:
            self._page += by
            if self._page * _ROWS >= len(self.board.runs):
                self.board.more()

        return turn

    def _chosen(self) -> Runs:
        """Return the ticked runs, else all that the board shows."""
        return self.board.picked if len(self.board.picked) > 1 else self.board.runs

    def _details(self) -> str:
        return _html(self.board.picked[0])

    def _compare(self) -> str:
        return _html(self.board.picked.compare())

    def _plotter(self, kind: str) -> Callable[[], str]:
        def plot() -> str:
            runs = self.board.picked if kind == "line" and self.board.picked else self._chosen()
            if kind == "line" and self._metric.value not in runs.courses:
                self._metric.value = next(iter(runs.courses), self._metric.value)  # one value is no curve
            return _html(runs.plot(kind, metric=self._metric.value))

        return plot

    def _importance(self) -> str:
        return _html(self.board.runs.importance(self._metric.value))

    def _executed(self) -> str:
        run = self.board.picked[0]
        document = run.executed_notebook()
        if document is None:
            raise BadInput(f"run {run.id} executed no notebook", "it was recorded by hand; see its details")
        return notebook_frame(document, f"The executed notebook of run {run.id}")

    def _registered(self) -> str:
        name = self._name.value.strip()
        if not name:
            raise BadInput("a model needs a name", "type it beside the button")
        return _html(self._project().models.register(name, self.board.picked[0]))

    def _row(self, children: Sequence[Any]) -> Any:
        import ipywidgets

        return ipywidgets.HBox(children, layout={"flex_flow": "row wrap", "align_items": "center"})

    def _button(
        self, label: str, does: Callable[[], Any], *, icon: str = "", width: str = "auto", tip: str = ""
    ) -> Any:
        import ipywidgets

        button = ipywidgets.Button(description=label, icon=icon, tooltip=tip, layout={"width": width})
        button.on_click(lambda _: self._do(does))
        return button

    def _do(self, work: Callable[[], Any]) -> None:
        """Do what was asked for and show it; an exception in a callback would vanish."""
        # on a busy machine the first picture takes its time
        self._said.value = "<p style='color:#777b83'>…</p>"
        try:
            answer = work()
        except MLOpsError as error:
            hint = (
                f"<br><code style='white-space:pre'>{escape(error.hint, lines=True)}</code>"
                if error.hint
                else ""
            )
            self._said.value = f"<p style='color:#d94848'><strong>{escape(error.message)}</strong>{hint}</p>"
        else:
            self._said.value = ""
            if isinstance(answer, str):
                self._shown.value = answer
        self._draw()


def shown_as_panel(project: Callable[[], Project]) -> Callable[[Leaderboard], None]:
    """Return what displays a leaderboard as its panel; for nobody, IPython shows its table as ever."""

    def shown(board: Leaderboard) -> None:
        if not pressable():
            raise NotImplementedError
        LeaderboardPanel(board, project)._ipython_display_()

    return shown


def _html(value: Any) -> str:
    return to_html(view(value))


def _text(made: Cell | str) -> str:
    return made.text if isinstance(made, Cell) else made


def _cell(made: Cell | str, numeric: bool) -> str:
    cell = made if isinstance(made, Cell) else Cell(made)
    style = f"height:{_HEIGHT}px;line-height:{_HEIGHT}px;white-space:nowrap;border-bottom:{_LINE};"
    style += "padding:0 10px 0 8px;"
    style += f"text-align:{'right' if numeric else 'left'};color:{_COLOURS.get(cell.tone, 'inherit')};"
    style += "font-variant-numeric:tabular-nums;box-sizing:border-box"
    text = escape(formats.shortened(cell.text, _CELL))
    whole = f' title="{escape(cell.text)}"' if len(cell.text) > _CELL else ""
    bar = ""
    if cell.share is not None:
        long = max(min(cell.share, 1.0), 0.0) * 44
        bar = (
            '<span style="display:inline-block;width:44px;height:8px;margin-left:6px;border-radius:2px;'
            'background:rgba(128,128,128,0.2);text-align:left;vertical-align:middle;line-height:8px">'
            f'<span style="display:inline-block;width:{long:.0f}px;height:8px;border-radius:2px;'
            'background:#3b7dd8;vertical-align:top"></span></span>'
        )
    return f'<div style="{style}"{whole}>{text}{bar}</div>'
