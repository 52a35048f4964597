"""Figures are plain values: whatever goes in, numbers and texts that JSON can hold come out."""

from __future__ import annotations

import datetime as dt
import json
import math

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.charts import Figure, Rule, bar, grouped_bar, histogram, line, parallel, scatter
from jupyter_mlops.errors import BadInput


def test_what_is_not_a_finite_number_becomes_a_gap():
    figure = line("loss", {"a": (np.arange(5), [1.5, float("nan"), np.float32(2), None, math.inf])})

    assert figure.series[0].y == (1.5, None, 2.0, None, None)
    assert figure.series[0].x == (0, 1, 2, 3, 4)
    assert json.loads(json.dumps(figure.to_dict(), allow_nan=False))["series"][0]["y"][1] is None


def test_a_figure_keeps_names_whole_and_drops_what_no_file_can_hold():
    name = "a" * 500
    figure = bar("two\nlines\x00 and half \ud83d", [name, "b"], [1, 2])

    assert figure.title == "two lines\ufffd and half \ufffd"
    assert figure.series[0].x[0] == name
    figure.title.encode()


def test_the_kind_of_the_x_axis_follows_the_values():
    day = dt.date(2013, 7, 1)
    assert line("a", {"m": ([1, 2.5], [1, 2])}).x_type == "number"
    assert line("a", {"m": (["jan", "feb"], [1, 2])}).x_type == "category"
    assert line("a", {"m": ([1, "feb"], [1, 2])}).series[0].x == ("1", "feb")
    assert line("a", {"m": ([day, np.datetime64("2013-07")], [1, 2])}).series[0].x == (
        "2013-07-01",
        "2013-07-01T00:00:00",
    )
    assert line("a", {"m": ([pd.Timestamp(day), pd.NaT], [1, 2])}).x_type == "time"
    assert line("a", {"m": ([pd.NaT], [1])}).series[0].x == (None,)


def test_alternative_text_is_never_missing_and_tells_the_range():
    figure = line("auc", {"7k3f": ([0, 1], [0.5, 0.75])}, y_label="auc")

    assert figure.alt == "Line chart of auc: 2 values of 7k3f; auc from 0.5 to 0.75."
    assert line("auc", {}).alt == "Line chart of auc: no data."
    assert line("auc", {}, alt="nothing yet").alt == "nothing yet"
    assert "auc" in repr(figure)
    assert len(repr(line("big", {"a": (range(10**5), range(10**5))}))) < 200


def test_bars_lie_down_when_their_names_need_the_room():
    assert not bar("few", ["a", "b"], [1, 2]).horizontal
    assert bar("long", ["a rather long name", "b"], [1, 2]).horizontal
    assert bar("many", list("abcdefghij"), range(10)).horizontal
    assert not bar("many", list("abcdefghij"), range(10), horizontal=False).horizontal


def test_parallel_coordinates_take_their_colour_from_the_last_metric():
    lines = {"r1": (0.1, "l1", True, 0.8), "r2": (10, "l2", False, None)}
    figure = parallel("sweep", ["C", "penalty", "warm", "auc"], lines)

    assert figure.color_by == "auc"
    assert figure.series[0].y == (0.1, "l1", "true", 0.8)
    assert parallel("sweep", ["C", "penalty", "warm", "auc"], lines, color_by="C").color_by == "C"
    assert parallel("names", ["penalty"], {"r1": ("l1",)}).color_by == ""


def test_one_name_may_be_given_for_a_list_of_names():
    assert bar("a", ["abc"], [1], highlight="abc").highlight == ("abc",)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: line("a", {"m": ([1, 2], [1])}), "'m' has 2 x values and 1 y values"),
        (lambda: scatter("a", {"m": ([], [1])}), "'m' has 0 x values"),
        (lambda: bar("effects", ["a"], [1, 2]), "'effects' has 1 categories and 2 values"),
        (lambda: grouped_bar("g", ["a"], {"new": []}), "0 values of 'new'"),
        (lambda: histogram("h", [0, 1], {"all": [1, 2]}), "2 bin edges and 2 counts"),
        (lambda: histogram("h", [1, 0], {"all": [1]}), "not ascending"),
        (lambda: histogram("h", [0, math.nan], {"all": [1]}), "not ascending finite"),
        (lambda: parallel("p", ["C", "auc"], {"r1": (1,)}), "'r1' has 1 values for 2 axes"),
        (lambda: parallel("p", ["C"], {"r1": (1,)}, color_by="auc"), "no axis 'auc'"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(make, says):
    with pytest.raises(BadInput, match=says) as caught:
        make()
    assert caught.value.hint


def test_rules_without_a_place_are_left_out():
    figure = bar("a", ["x"], [1], rules=[Rule("floor", np.float64(0.5)), Rule("none", math.nan)])
    assert figure.rules == (Rule("floor", 0.5),)
    assert isinstance(figure, Figure)
