"""What the README tells people to type is there and works, in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.cli.main import COMMANDS, main
from tests.starting.domains import DOMAINS, used_csv
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def typed() -> Iterator[list[str]]:
    """Yield the lines that people type."""
    for block in re.findall(r"^```console\n(.*?)^```", README, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            assert line.startswith("$ ")
            yield shlex.split(line[2:])


def test_every_target_of_make_is_one_of_the_makefile_that_has_help() -> None:
    targets = [line[1] for line in typed() if line[0] == "make"]
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}: .*## ", MAKEFILE, re.MULTILINE)


def test_every_command_works_in_the_order_in_which_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With files such as hosts have, of a few minutes, and a limit that a few replications can meet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    Path("domain.xml").write_text(DOMAINS["virtio-mem"], "utf-8")
    used_csv(tmp_path, seconds=240)
    ran = []
    for command, *arguments in typed():
        if command == "make":
            continue
        fewer = ["--budget", "40"] if arguments[0] == "recommend" else []
        done = CliRunner().invoke(main, [*(each.replace("95 %", "50 %") for each in arguments), *fewer])
        assert (command, done.exit_code) == ("memhp-sim", 0), (done.output, done.exception)
        ran.append(arguments[0])
    assert ran == ["new", "recommend", "report"]
    assert Path("results/guest-recommend/report.html").is_file()


def test_the_table_of_commands_has_all_of_them_and_no_others_in_the_order_of_the_help() -> None:
    table = README[README.index("| command | what it does |") :].partition("\n\n")[0]
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`memhp-sim ([\w-]+)", row.split("|")[1])]
    assert list(dict.fromkeys(named)) == list(COMMANDS)


@pytest.mark.parametrize(
    "named", sorted(set(re.findall(r"`((?:docs|experiments|notebooks|tests|sim)/[\w./-]*)`", README)))
)
def test_every_file_that_it_names_is_there(named: str) -> None:
    assert (ROOT / named).exists()


def test_the_demo_ends_with_the_path_of_the_report() -> None:
    recipe = MAKEFILE[MAKEFILE.index("\ndemo:") :].split("\n\n")[0].splitlines()[2:]
    assert [line.split()[1] for line in recipe if "memhp-sim" in line] == ["replay", "run", "report"]
    assert recipe[-1].strip() == '@echo "file://$(CURDIR)/results/quickstart/report.html"'
