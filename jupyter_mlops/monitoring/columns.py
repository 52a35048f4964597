"""Sample: one column of a table, reduced to what can be compared. Made by ``drift`` from any kind of table.

====================================  =========  ============================================================
column                                type       compared as
====================================  =========  ============================================================
integers, floats, Decimal             number     numbers; categories where both sides hold at most 5 integers
booleans                              boolean    categories ``false`` and ``true``
text, category, mixed objects         text       categories; what is no text by ``str``
dates and times, also as ISO text     time       seconds, only when the column is named
durations                             duration   seconds
complex numbers                       other      not compared
nothing but missing values            nothing    not compared
====================================  =========  ============================================================

NaN, None, pd.NA, NaT and infinities are missing values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import BadInput

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]|$)")

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The values of one column: ``numbers``, or ``counts`` of its categories by their names."""

    type: str
    rows: int
    numbers: Numbers | None = None
    counts: pd.Series[int] | None = None

    @property
    def present(self) -> int:
        """How many values are not missing; columns that are not compared count as full."""
        if self.counts is not None:
            return int(self.counts.sum())
        return self.rows if self.numbers is None else len(self.numbers)

    @property
    def missing(self) -> int:
        return self.rows - self.present


def table(source: Any, side: str) -> tuple[pd.DataFrame, str | None]:
    """Return ``source`` as a pandas table and its ref, if it has one; ``side`` names it in errors."""
    import pandas as pd

    ref = getattr(source, "ref", None)
    if callable(load := getattr(source, "load", None)):
        source = load()
    library = type(source).__module__.partition(".")[0]
    if library == "polars" and hasattr(source, "collect"):
        source = source.collect()
    if library in ("polars", "pyarrow") and hasattr(source, "to_pandas"):
        source = source.to_pandas()
    if not isinstance(source, pd.DataFrame):
        raise BadInput(
            f"the {side} is no table but {type(source).__name__}",
            "give a pandas, polars or Arrow table, or a dataset version that holds one",
        )
    name = ref if isinstance(ref, str) else None
    called = f"the {side} {name}" if name else f"the {side}"
    names = [str(column) for column in source.columns]
    twice = (
        sorted({column for column in names if names.count(column) > 1})
        if len(set(names)) < len(names)
        else []
    )
    if twice:
        raise BadInput(f"{called} has two columns named {twice[0]!r}", "rename one of them")
    if not len(source) or not names:
        raise BadInput(
            f"{called} is empty: {len(source)} rows, {len(names)} columns", "there is nothing to compare"
        )
    return source.set_axis(names, axis="columns"), name


def sample(series: pd.Series[Any]) -> Sample:
    """Return what can be compared of one column."""
    import pandas as pd
    from pandas.api import types

    if isinstance(series.dtype, pd.ArrowDtype):
        import pyarrow as pa

        series = pa.array(series).to_pandas()
    dtype, rows = series.dtype, len(series)
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories("text", series, rows)
    if types.is_object_dtype(dtype):
        return _objects(series.dropna(), rows)
    if types.is_bool_dtype(dtype):
        return _categories("boolean", series, rows)
    if types.is_complex_dtype(dtype):
        return Sample("other", rows)
    if types.is_numeric_dtype(dtype):
        return _numbers("number", series.to_numpy(dtype=float, na_value=float("nan")), rows)
    if types.is_datetime64_any_dtype(dtype):
        return _moments("time", series.dropna(), rows)
    if types.is_timedelta64_dtype(dtype):
        return _numbers("duration", series.dropna().dt.total_seconds().to_numpy(), rows)
    return _texts(series, rows)


def _objects(present: pd.Series[Any], rows: int) -> Sample:
    import pandas as pd
    from pandas.api import types

    inside = types.infer_dtype(present, skipna=True)
    if inside in ("integer", "floating", "mixed-integer-float", "decimal"):
        return _numbers("number", present.map(_float).to_numpy(dtype=float), rows)
    if inside == "boolean":
        return _categories("boolean", present, rows)
    if inside in ("date", "datetime", "datetime64"):
        return _moments("time", pd.to_datetime(present, utc=True, errors="coerce").dropna(), rows)
    if inside == "complex":
        return Sample("other", rows)
    return _texts(present.map(str), rows)


def _numbers(type_: str, values: Numbers, rows: int) -> Sample:
    import numpy as np

    finite = values[np.isfinite(values)]
    finite.sort()
    return Sample(type_ if len(finite) else "nothing", rows, finite)


def _moments(type_: str, present: pd.Series[Any], rows: int) -> Sample:
    naive = present.dt.tz_convert(None) if present.dt.tz is not None else present
    return _numbers(type_, naive.to_numpy().astype("datetime64[us]").astype("int64") / 1e6, rows)


def _categories(type_: str, values: pd.Series[Any], rows: int) -> Sample:
    from pandas.api import types

    counts = values.value_counts(sort=False)
    counts = counts[counts > 0]
    if not types.is_string_dtype(counts.index):
        names = counts.index.map(str)
        counts.index = names.str.lower() if type_ == "boolean" else names
    if not counts.index.is_unique:  # 1 and "1" are one category once they are written
        counts = counts.groupby(level=0, sort=False).sum()
    return Sample(type_ if len(counts) else "nothing", rows, counts=counts)


def _texts(values: pd.Series[Any], rows: int) -> Sample:
    """Return categories, or times where all is written as ISO times, as they come from a CSV file."""
    import pandas as pd

    made = _categories("text", values, rows)
    if made.counts is not None and len(made.counts) and ISO_TIME.match(str(made.counts.index[0])):
        moments = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
        if int(moments.notna().sum()) == made.present:
            return _moments("time", moments.dropna(), rows)
    return made


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats
        return float("inf")
