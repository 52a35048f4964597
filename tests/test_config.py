"""mlops.toml is validated once, and every mistake in it is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mlops.config import Policy, read_config
from jupyter_mlops.errors import BadConfig, BadInput

EXAMPLE = """
[project]
name = "churn"
[people]
contributor = ["ann@example.com"]
approver = ["bo@example.com", "cy@example.com"]
services = ["ci"]
[models.churn-model]
notebook = "train.ipynb"
inputs = { data = "customers@latest" }
evaluate = { data = "customers-holdout@golden", target = "churned" }
[aliases.challenger]
[aliases.production]
approvals = 1
approvers = ["approver"]
identity = "verified"
expires = "7d"
gates = [
  { scorer = "roc_auc", at_least = 0.80 },
  { scorer = "roc_auc", not_worse_than = "production", margin = 0.01 },
  { signature = "compatible" },
]
[models.churn-model.aliases.shadow]
approvals = 2
[slack]
channel = "#churn"
approvals = "#ml-approvals"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "mlops.toml").write_text(text, "utf-8")
    return folder


def test_the_documented_example_is_understood(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, EXAMPLE))
    production = config.policy.alias("churn-model", "production")
    assert production is not None
    assert production.identity == "verified"
    assert [gate.name for gate in production.gates] == [
        "roc_auc at least 0.8",
        "roc_auc not worse than production − 0.01",
        "signature compatible",
    ]
    assert production.lifetime.days == 7
    assert config.policy.alias_names("churn-model") == ["challenger", "production", "shadow"]
    assert config.policy.alias("another", "shadow") is None
    assert config.slack.channels == ("#churn", "#ml-approvals")
    assert Policy.from_document(config.policy.to_document()) == config.policy


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[project\n", "cannot be read"),
        ("[projekt]\n", "did you mean project"),
        ("[people]\nadmins = []\n", "did you mean admin"),
        ("[people]\nadmin = 'ann'\n", "must be a list of texts"),
        ("[aliases.production]\napprovals = -1\n", "from 0 to 20"),
        ("[aliases.production]\napprovals = true\n", "from 0 to 20"),
        ("[aliases.production]\nidentity = 'sure'\n", '"any" or "verified"'),
        ("[aliases.production]\nexpires = 'soon'\n", "no length of time"),
        ("[aliases.production]\ngates = [{scorer = 'auc'}]\n", "is no gate"),
        ("[aliases.latest]\n", "reserved"),
        ("[aliases.v3]\n", "reserved"),
        ("[models.m]\nevaluate = {data = 'd'}\n", "needs data and target"),
        ("[slack]\nchannel = 3\n", "must be text"),
        ("people = 3\n", "must be a table"),
        ("[slack]\ntoken = 'abc'\n", "holds a secret"),
        ("[project]\nname = 'xoxb-1-2'\n", "holds a secret"),
        ("[project]\nstore = 'postgresql://u:p@h/d'\n", "holds a secret"),
        ("[project]\nstore = 'env:NOT_SET_ANYWHERE'\n", "that variable is not set"),
    ],
)
def test_every_mistake_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_config(written(tmp_path, text))
    assert says in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="mlops init"):
        read_config(tmp_path)


def test_the_store_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_STORE", "postgresql://db/churn")
    assert (
        read_config(written(tmp_path, "[project]\nstore = 'env:CHURN_STORE'\n")).store
        == "postgresql://db/churn"
    )


def test_an_approver_that_nobody_can_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadConfig, match=r"\[aliases.production\] approvers: 'apprver'.*did you mean approver"
    ):
        read_config(written(tmp_path, '[aliases.production]\napprovers = ["apprver"]'))
    people = (
        '[people]\nadmin = ["carol"]\n[models.m.aliases.a]\napprovers = ["carol", "cfo@example.com", "admin"]'
    )
    assert read_config(written(tmp_path, people)).policy.alias("m", "a") is not None


def test_a_length_of_time_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"\[aliases.production\] expires: 'soon'"):
        read_config(written(tmp_path, '[aliases.production]\nexpires = "soon"'))


def test_the_store_is_where_the_project_says_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_STORE", "mysql://ann:secret@host/db")
    with pytest.raises(BadConfig, match="begins with mysql://") as refused:
        read_config(written(tmp_path, ""))
    assert "secret" not in str(refused.value)
    assert read_config(written(tmp_path, '[project]\nstore = "facts.sqlite"')).store == str(
        tmp_path / "facts.sqlite"
    )


def test_remotes_are_declared_by_name_and_the_projects_own_is_the_default(tmp_path: Path) -> None:
    text = (
        '[remotes.origin]\nurl = "shared"\nsingle_writer = true\n[remotes.cloud]\nurl = "s3://acme/churn"\n'
    )
    remotes = read_config(written(tmp_path, text)).remotes
    assert (remotes["origin"].url, remotes["origin"].single_writer) == (str(tmp_path / "shared"), True)
    assert (remotes["cloud"].url, remotes["cloud"].single_writer) == ("s3://acme/churn", False)
    for project, expected in (("s3://acme/x", "s3://acme/x"), ("cloud", "s3://acme/churn")):
        named = read_config(written(tmp_path, f'[project]\nremote = "{project}"\n{text}')).remotes
        assert named["default"].url == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[remotes.o]", "has no url"),
        ("[remotes.o]\nurl = 1", "must be text"),
        ('[remotes.o]\nurl = "x"\nsingle_writer = "yes"', "true or false"),
        ('[remotes.o]\nurl = "x"\nregion = "y"', "unknown key"),
        ('[remotes.o]\nurl = "s3://key:hidden@bucket"', "holds a secret"),
        ('[remotes."a b"]\nurl = "x"', "cannot name a remote"),
        ('[project]\nremote = "x"\n[remotes.default]\nurl = "y"', "which remote is the default"),
        ("[remotes]\no = 1", "must be a table"),
    ],
)
def test_a_remote_declared_wrongly_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        read_config(written(tmp_path, text))
    assert "hidden" not in str(refused.value)
