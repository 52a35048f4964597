"""The projects a server keeps open: one a person, a few at a time, never closed while somebody uses them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from jupyter_mlops.people import Actor
from jupyter_mlops.project import Project
from jupyter_mlops.server.projects import OpenProjects
from tests.conftest import ANN, BO, CY, DEE, POLICY, MakeProject


@pytest.fixture
def keep(project: Project) -> Iterator[Callable[[int], OpenProjects]]:
    kept: list[OpenProjects] = []

    def make(capacity: int) -> OpenProjects:
        kept.append(OpenProjects(str(project.root), capacity))
        return kept[-1]

    yield make
    for projects in kept:
        projects.close()


def test_each_person_has_a_project_of_their_own_name(keep: Callable[[int], OpenProjects]) -> None:
    projects = keep(4)
    for name in (BO, CY, BO):
        with projects.lease(Actor(name, "jupyter")) as opened:
            assert opened.people.whoami().name == name
            assert opened.people.whoami().proof == "jupyter"
    with projects.lease(Actor(BO)) as claimed:
        assert claimed.people.whoami().proof == "local"


def test_the_same_person_gets_the_same_project_until_others_need_the_room(
    keep: Callable[[int], OpenProjects],
) -> None:
    projects = keep(2)
    seen = []
    for name in (BO, BO, CY, DEE, BO):
        with projects.lease(Actor(name, "jupyter")) as opened:
            seen.append(opened)
            assert opened.people.in_force().number == 1
    assert seen[0] is seen[1]
    assert seen[4] is not seen[0]


def test_a_project_in_use_stays_open_however_many_come(keep: Callable[[int], OpenProjects]) -> None:
    projects = keep(1)
    with projects.lease(Actor(ANN, "jupyter")) as first:
        with projects.lease(Actor(BO, "jupyter")) as second, projects.lease(Actor(CY, "jupyter")) as third:
            assert [one.people.whoami().name for one in (first, second, third)] == [ANN, BO, CY]
        with projects.lease(Actor(ANN, "jupyter")) as again:
            assert again is first


def test_many_threads_at_once(keep: Callable[[int], OpenProjects]) -> None:
    projects = keep(2)
    failures: list[BaseException] = []

    def look(name: str) -> None:
        try:
            for _ in range(10):
                with projects.lease(Actor(name, "jupyter")) as opened:
                    assert opened.people.whoami().name == name
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=look, args=(name,)) for name in (ANN, BO, CY, DEE) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_an_edited_file_is_read_again(make_project: MakeProject) -> None:
    project = make_project()
    projects = OpenProjects(str(project.root))
    with projects.lease(Actor(ANN)) as opened:
        assert not opened.people.in_force().file_differs
    (project.root / "mlops.toml").write_text(POLICY.replace("cy@example.com", "dee@example.com"), "utf-8")
    with projects.lease(Actor(ANN)) as opened:
        assert opened.people.in_force().file_differs
    projects.close()
