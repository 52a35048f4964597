"""Signatures: whether callers of one model can call another."""

from __future__ import annotations

import pytest

from jupyter_mlops.models import Column, Signature

FORMER = Signature((Column("age", "integer"), Column("plan", "text")), "class", ("no", "yes"))


def changed(
    *columns: tuple[str, str], output: str = "class", classes: tuple[str, ...] = ("no", "yes")
) -> Signature:
    return Signature(tuple(Column(*column) for column in columns), output, classes)


@pytest.mark.parametrize(
    ("now", "problems"),
    [
        (FORMER, []),
        (changed(("plan", "text"), ("age", "integer")), []),
        (changed(("age", "number"), ("plan", "category")), []),
        (changed(("age", ""), ("plan", "")), []),
        (changed(("age", "text"), ("plan", "text")), ["takes age as text, not integer"]),
        (changed(("age", "integer")), ["no longer takes plan"]),
        (changed(("age", "integer"), ("plan", "text"), ("zip", "text")), ["needs a new column zip"]),
        (
            changed(("age", "integer"), ("plan", "text"), output="number", classes=()),
            ["answers number, not class"],
        ),
        (
            changed(("age", "integer"), ("plan", "text"), classes=("no", "maybe")),
            ["knows the classes no, maybe, not no, yes"],
        ),
    ],
)
def test_what_breaks_a_caller(now: Signature, problems: list[str]) -> None:
    assert now.breaks(FORMER) == problems


def test_a_narrower_type_breaks_a_caller_that_a_wider_one_does_not() -> None:
    wide = changed(("age", "number"), ("plan", "text"))
    assert wide.breaks(FORMER) == []
    assert FORMER.breaks(wide) == ["takes age as integer, not number"]


def test_a_signature_survives_its_document() -> None:
    assert Signature.from_dict(FORMER.to_dict()) == FORMER
    assert str(FORMER) == "(age integer, plan text) -> class"
    assert str(Signature()) == "(…) -> …"
