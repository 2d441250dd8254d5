from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from sim.faults import Faults
from sim.plugins import lookup
from sim.plugins.lookup import POLICY, WORKLOAD, Kind, PluginError

POLICY_SOURCE = '''
from typing import Annotated

from policies.contract import Explanation, Policy
from sim.memory.zones import ZoneType
from sim.plugins.parameter_types import FilePath, Size, Whole


class Mine(Policy):
    name = "mine"
    summary = "a policy of one's own"

    def __init__(
        self,
        *,
        reserve: Annotated[int, Size(multiple_of=4096), "what to keep"] = 64 << 20,
        share: Annotated[float, "needed"],
        table: Annotated[str | None, FilePath(), "a file"] = None,
    ):
        if share > 1:
            raise ValueError(f"share must be at most 1, but is {share}")
        self.share, self.reserve, self.table = share, reserve, table

    def zone_for(self, request, memory):
        return ZoneType.NORMAL

    def explain(self, request, memory):
        return Explanation(ZoneType.NORMAL, "always", {})


class Half(Policy):
    name = "half"
    summary = "does not decide"

    def explain(self, request, memory):
        return None


class Odd(Mine):
    def __init__(self, *, share: "Annotated[banana, 'of no type']" = 1):
        pass


class Clash(Mine):
    def __init__(self, *, label: Annotated[str, "a reserved word"] = ""):
        pass


class Plain(Mine):
    """Judges nothing itself."""

    def __init__(self, *, least: Annotated[int, Whole(1, 9), "a few"] = 3, other: Annotated[int, "any"] = 0):
        self.least = 12 // least


class Several(Mine):
    def __init__(self, *, least: Annotated[int, Whole(1, 9), "a few"] = 3, other: Annotated[int, Whole(0), "any"] = 0):
        if least > 9:
            raise ValueError("least: is too much for me")


class Angry(Mine):
    def __init__(self):
        raise RuntimeError("no")


class NotOne:
    pass
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(POLICY_SOURCE)
    (tmp_path / "broken.py").write_text("import not_installed_anywhere\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit('bye')\n")
    (tmp_path / "unfinished.py").write_text("class Mine(\n")
    return tmp_path


def configured(folder: Path, name: str, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    faults = Faults("policies[0]")
    settings = lookup.configure(lookup.find(POLICY, name, folder), values, faults)
    return settings, [str(fault) for fault in faults]


@pytest.mark.parametrize("kind", [POLICY, WORKLOAD])
def test_every_installed_plug_in_can_be_made_with_its_defaults(kind: Kind, tmp_path: Path) -> None:
    needy = {"request-replay": {"log": "sail-2026"}}
    for listed in lookup.listing(kind):
        assert listed.plugin is not None, listed.error
        required = needy.get(listed.name)
        if required is None and any(parameter.default is None for parameter in listed.plugin.parameters):
            continue
        faults = Faults()
        settings = lookup.configure(listed.plugin, required or {}, faults)
        made = lookup.create(listed.plugin, settings, tmp_path, faults)

        assert not faults
        assert isinstance(made, kind.base)


@pytest.mark.parametrize("kind", [POLICY, WORKLOAD])
def test_names_are_those_the_classes_have(kind: Kind) -> None:
    for listed in lookup.listing(kind):
        assert listed.plugin is not None, listed.error
        assert listed.plugin.cls.name == listed.name
        assert listed.plugin.summary
        assert all(parameter.meaning and parameter.type.unit for parameter in listed.plugin.parameters)


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(PluginError, match=r"did you mean 'auto-movable'.*contig-zones.*or path/to/file.py:Class"):
        lookup.find(POLICY, "auto-movabel")


def test_a_class_in_a_file(folder: Path) -> None:
    found = lookup.find(POLICY, "mine.py:Mine", folder)

    assert found.cls.name == "mine"
    assert found.origin == f"file {folder / 'mine.py'}"
    assert lookup.find(POLICY, str(folder / "mine.py:Mine")).cls is found.cls
    assert len(found.code) == 64


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:Mine", "nowhere.py cannot be read: No such file"),
        ("broken.py:Mine", "cannot be imported: ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("leaving.py:Mine", "cannot be imported: SystemExit: bye"),
        ("unfinished.py:Mine", "cannot be imported: SyntaxError"),
        ("mine.py:Mein", "unknown class 'Mein'; did you mean 'Mine'?"),
        ("mine.py:NotOne", "is not a subclass of policies.contract.Policy"),
        ("mine.py:POLICY", "unknown class"),
        ("mine.py:Half", "does not define zone_for"),
        ("mine.py:Odd", "describes its parameters wrongly: the annotation of parameter 'share' cannot be read: name"),
        ("mine.py:Clash", "uses a reserved word as parameter: label"),
        (".py:X", "cannot be read"),
    ],
)
def test_a_plug_in_that_cannot_be_had_says_why(folder: Path, name: str, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        lookup.find(POLICY, name, folder)

    assert message in str(caught.value)


def test_a_policy_is_no_workload(folder: Path) -> None:
    with pytest.raises(PluginError, match=r"is not a subclass of workloads.contract.Workload"):
        lookup.find(WORKLOAD, "mine.py:Mine", folder)


def test_values_are_converted_and_defaults_filled_in(folder: Path) -> None:
    settings, faults = configured(folder, "mine.py:Mine", {"share": 1})

    assert settings == {"reserve": 64 << 20, "share": 1.0}
    assert faults == []


def test_every_fault_of_the_values_is_told(folder: Path) -> None:
    _, faults = configured(folder, "mine.py:Mine", {"reserve": "-1", "shar": 1, "table": 3})

    assert faults == [
        (
            "policies[0].shar: unknown parameter of mine.py:Mine 'shar';"
            " did you mean 'share'? Valid: reserve, share, table"
        ),
        "policies[0].reserve: '-1' is not a size: write a number of bytes or a string such as '512MiB' or '4GiB'",
        "policies[0].share: is missing; mine.py:Mine needs it: needed",
        "policies[0].table: 3 is not a string",
    ]


def test_a_plug_in_that_judges_nothing_is_held_to_its_annotations(folder: Path) -> None:
    plain = lookup.find(POLICY, "mine.py:Plain", folder)
    for value, said in ((0, "must be from 1 to 9, but is 0"), (10, "must be from 1 to 9, but is 10")):
        faults = Faults("p")

        assert lookup.create(plain, {"least": value, "other": 5}, folder, faults) is None
        assert [str(fault) for fault in faults] == [f"p.least: {said}"]
    assert lookup.create(plain, {"least": 4, "other": 5}, folder, Faults()).least == 3


def test_what_a_plug_in_says_itself_of_a_parameter_goes_before_what_its_annotation_says(folder: Path) -> None:
    faults = Faults("p")

    lookup.create(lookup.find(POLICY, "mine.py:Several", folder), {"least": 10, "other": -1}, folder, faults)

    assert [str(fault) for fault in faults] == [
        "p.least: is too much for me",
        "p.other: must be at least 0, but is -1",
    ]


def test_what_the_constructor_refuses_is_put_to_its_parameter(folder: Path) -> None:
    faults = Faults("policies[0]")

    made = lookup.create(lookup.find(POLICY, "mine.py:Mine", folder), {"share": 2.0}, folder, faults)

    assert made is None
    assert [str(fault) for fault in faults] == ["policies[0].share: share must be at most 1, but is 2.0"]


def test_a_constructor_with_several_complaints_gets_them_all_placed() -> None:
    faults = Faults("w")
    found = lookup.find(WORKLOAD, "dimm-slots")
    settings = lookup.configure(found, {"slots": 0, "interval": 0, "removal": "newest"}, faults)

    lookup.create(found, settings, Path(), faults)

    assert [fault.key for fault in faults] == ["w.slots", "w.interval"]


def test_a_constructor_that_fails_otherwise_is_told(folder: Path) -> None:
    faults = Faults("p")

    lookup.create(lookup.find(POLICY, "mine.py:Angry", folder), {}, folder, faults)

    assert [str(fault) for fault in faults] == ["p: mine.py:Angry cannot be made: RuntimeError: no"]


def test_paths_are_relative_to_the_folder(folder: Path) -> None:
    found = lookup.find(POLICY, "mine.py:Mine", folder)

    made = lookup.create(found, {"share": 0.5, "table": "t.csv"}, folder, Faults())

    assert made.table == str(folder / "t.csv")
    assert lookup.file_paths(found, {"table": "t.csv"}) == [("table", "t.csv")]


class _FakeEntry:
    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value
        self.dist = None

    def load(self) -> object:
        raise ImportError(f"no module {self.value}")


def test_a_broken_entry_point_spoils_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def more(group: str) -> list[Any]:
        return [*metadata.entry_points(group=group), _FakeEntry("third-party", "gone:Policy")]

    monkeypatch.setattr(lookup, "_declared", more)
    listed = {entry.name: entry for entry in lookup.listing(POLICY)}

    assert listed["auto-movable"].plugin is not None
    assert listed["third-party"].plugin is None
    assert listed["third-party"].error == (
        "policy 'third-party' (gone:Policy) cannot be imported: ImportError: no module gone:Policy"
    )


def test_a_name_that_two_distributions_claim_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        lookup, "_declared", lambda group: [_FakeEntry("x", f"{group}.a:P"), _FakeEntry("x", f"{group}.b:P")]
    )

    with pytest.raises(PluginError, match="declared more than once"):
        lookup.find(POLICY, "x")
