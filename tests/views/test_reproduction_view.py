"""A repeated run is seen with its verdict, what differs, and what may be why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_mlops.runs import Artifact, Held, Reproduction, Run, RunInfo
from jupyter_mlops.views import to_html, to_markdown, to_text, view
from jupyter_mlops.views.reproduction import made_blocks

from .samples import AT, DIGEST, HOSTILE

ORIGINAL = Run(
    "aaaa2222", 1, "growth", "finished", "ann@example.com", "local", "notebook", AT,
    parameters={"seed": 7, "rate": 3.0}, metrics={"auc": 0.8125}, notebook="train.ipynb",
    artifacts={"model": Artifact("model", "model", DIGEST, 10)}, info=RunInfo(notebook_digest=DIGEST),
)  # fmt: skip
REPEATED = replace(ORIGINAL, id="bbbb3333", number=2, like="aaaa2222")
SAME = Reproduction(ORIGINAL, REPEATED, metrics=(Held("auc", 0.8125, 0.8125, "equal"),))


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "identical"),
        ({"metrics": (Held("auc", 0.8125, 0.8125000001, "close"),)}, "agrees"),
        ({"metrics": (Held("auc", 0.8125, 0.7, "different"),)}, "differs"),
        ({"metrics": (Held("auc", 0.8125, None, "missing"),)}, "differs"),
        ({"metrics": (Held("seconds", 1.0, 2.0, "ignored"),)}, "identical"),
        ({"outputs": (Held("grown", "b3:1", "b3:2", "different"),)}, "differs"),
        ({"cells": (Held("cell 3", "1", "2", "different"),)}, "agrees"),
        ({"artifacts": (Held("model", "b3:1", "b3:2", "different"),)}, "agrees"),
        ({"run": replace(REPEATED, status="failed")}, "failed"),
        ({"run": replace(REPEATED, status="running")}, "running"),
    ],
)
def test_the_verdict_is_that_of_metrics_and_dataset_versions(changed: dict, verdict: str) -> None:
    assert replace(SAME, **changed).verdict == verdict


def test_what_differs_is_shown_with_all_digits_and_with_its_possible_causes() -> None:
    value = replace(
        SAME,
        metrics=(Held("auc", 0.8125, 0.8126, "different", "the courses part at step 3"),),
        environment=(Held("numpy", "2.1.0", "2.4.6", "different"),),
        code=(Held("features.py", "3 lines", "4 lines", "different"),),
        asked=("rate = 4.0 instead of 3.0",),
        ignored=("times in cell 2",),
    )
    text = to_text(view(value))
    for part in (
        "came out differently", "0.8125", "0.8126", "the courses part at step 3", "numpy", "2.4.6",
        "features.py", "rate = 4.0 instead of 3.0", "Not compared: times in cell 2.",
        "mlops runs compare aaaa2222 bbbb3333",
    ):  # fmt: skip
        assert part in text, part
    assert value.to_dict()["items"][0]["id"] == "bbbb3333"
    assert value.to_dict()["verdict"] == "differs"


def test_where_nothing_explains_a_difference_the_likely_rest_is_named() -> None:
    value = replace(SAME, metrics=(Held("auc", 0.8, 0.7, "different"),))
    assert "a seed that is not set" in " ".join(to_text(view(value)).split())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_texts_from_outside_do_no_harm(text: str) -> None:
    value = replace(
        SAME,
        asked=(text,),
        ignored=(text,),
        cells=(Held(text, text, text, "different", text),),
        environment=(Held(text, text, text, "different"),),
    )
    html = to_html(view(value))
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "\x1b" not in to_text(view(value))
    assert to_markdown(view(value))


def test_what_made_a_run_names_seeds_original_and_kernel() -> None:
    run = replace(REPEATED, warm=False, why_cold="asked for", executor="local")
    (heading, facts, *_) = made_blocks(run)
    assert heading.text == "What made it"
    told = {name: cell.text for name, cell in facts.rows}
    assert told["seeds"] == "seed = 7"
    assert told["like"] == "aaaa2222"
    assert told["kernel"] == "cold: asked for"
    assert told["executor"] == "local"
