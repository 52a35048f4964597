"""Outputs of two executions are equal but for what differs every time, and that is named."""

from __future__ import annotations

from jupyter_mlops.project import Project
from jupyter_mlops.runs.comparing.outputs import _compared

from .conftest import WriteNotebook


def stream(text: str, name: str = "stdout") -> dict:
    return {"output_type": "stream", "name": name, "text": text}


def shown(**data: object) -> dict:
    return {"output_type": "display_data", "data": data, "metadata": {}}


def agreement(before: list[dict], after: list[dict]) -> tuple[str, list[str]]:
    found, ignored = _compared(before, after, {"7k3f9q2m"})
    return found, ignored


def test_what_differs_at_every_execution_is_not_compared_and_is_named() -> None:
    pairs = {
        "memory addresses": ("<object at 0x7f3a5c0d1e20>", "<object at 0x7f3a5c0d9990>"),
        "times": ("done at 2026-11-03 14:05:22 in 1.25 s", "done at 2026-11-04 09:00:01 in 900 ms"),
        "ids": ("id 0b8f4c1e-1c1d-4a50-9c0b-6b1f7d0a2e11", "id 5b8f4c1e-1c1d-4a50-9c0b-6b1f7d0a2e12"),
        "run ids": ("run 7k3f9q2m", "run …"),
        "temporary paths": (
            "/tmp/ipykernel_12/34.py:1: UserWarning",
            "/tmp/ipykernel_99/98.py:1: UserWarning",
        ),
    }
    for kind, (before, after) in pairs.items():
        found, ignored = agreement([stream(before)], [stream(after)])
        assert found == "equal", kind
        assert kind in ignored, kind


def test_progress_is_what_it_ends_with_and_bars_are_no_output() -> None:
    bar = "  0%|          | 0/3 [00:00<?, ?it/s]\r100%|██████████| 3/3 [00:01<00:00,  2.1it/s]\n"
    slower = bar.replace("2.1it", "0.4it").replace("00:01", "00:09")
    assert agreement([stream(bar, "stderr")], [stream(slower, "stderr")])[0] == "equal"
    assert agreement([stream("1\r2\r3\n")], [stream("3\n")]) == ("equal", [])
    assert agreement([stream("a\n"), stream("b\n")], [stream("a\nb\n")]) == ("equal", [])


def test_numbers_texts_and_pictures_are_compared() -> None:
    assert agreement([stream("auc 0.81")], [stream("auc 0.82")])[0] == "different"
    assert agreement([stream("x")], [])[0] == "different"
    assert agreement([stream("x")], [stream("x", "stderr")])[0] == "different"
    one = shown(**{"text/plain": "a", "text/html": "<b>a</b>"})
    assert agreement([one], [shown(**{"text/plain": "a", "text/html": ["<b>a", "</b>"]})])[0] == "equal"
    assert agreement([one], [shown(**{"text/plain": "a", "text/html": "<b>c</b>"})])[0] == "different"
    error = {"output_type": "error", "ename": "ValueError", "evalue": "1", "traceback": ["x"]}
    assert agreement([error], [{**error, "traceback": ["y"]}])[0] == "equal"
    assert agreement([error], [{**error, "evalue": "2"}])[0] == "different"


def test_a_repetition_names_the_cell_that_came_out_otherwise(
    project: Project, write_notebook: WriteNotebook
) -> None:
    notebook = write_notebook(
        project.root / "volatile.ipynb",
        "import random, time, uuid\nfrom tqdm import tqdm\nfrom IPython.display import HTML, display",
        "for _ in tqdm(range(3)):\n    time.sleep(0.01)",
        "print(object(), time.time_ns())\ndisplay(HTML(f'<div id=\"{uuid.uuid4()}\">same</div>'))",
        "random.seed(3)\nprint(random.random())",
        "print(random.SystemRandom().random())",
        "raise ValueError('as ever')",
        parameters=False,
    )
    (original,) = project.runs.execute(notebook)
    (run,) = project.runs.execute(like=original)
    assert run.status == original.status == "failed"
    found = project.runs.reproduction(run)
    assert found.verdict == "agrees"
    assert [one.name for one in found.differing()] == ["cell 3", "cell 5"]
    assert "progress bars in cell 2" in found.ignored
