"""Memory demand of programs in the guest, from a CSV file: recorded elsewhere, or written by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.faults import shown
from sim.plugins.parameter_types import FilePath, Seconds, Size, Word
from sim.plugins.parameters import Checker, checked
from sim.plugins.values import SECONDS_LIMIT
from sim.units import MICROSECONDS, parse_size, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.demand import BYTE_KINDS, KINDS, GuestProcess, drive, write_drop_caches
from workloads.parts.mixes import MIXES, parts_of
from workloads.parts.parameters import LONGEST_US, Speed, Tick
from workloads.parts.table import TableFaults, rows, text_lines

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import simpy

    from workloads.parts.demand import Target

DROP_CACHES: Final = "drop-caches"
"""The kind of a row that is no load: its amount is what is written to ``/proc/sys/vm/drop_caches``."""

_COLUMNS: Final = ("t_s", "kind", "name", "amount")
_MOST_PIECES: Final = 1 << 40
_DROPS: Final = (1, 2, 3)


class LoadTrace(Workload):
    """Programs that use what a CSV file says: each row sets what load ``name`` of ``kind`` uses from ``t_s`` on.

    Columns ``t_s`` (seconds), ``kind``, ``name``, ``amount`` (others are not read), rows in order of time. An amount
    is in bytes (also as in ``512MiB``), or a number of files, processes, pipes or sockets, as its kind has it; kinds
    are also the loads by name of ``guest-load``. A row of kind ``drop-caches`` writes its amount (1, 2 or 3) to
    ``/proc/sys/vm/drop_caches``. Growth is taken at ``rate``, the rest at once. All of it runs on node 0. A load whose
    process the guest's out-of-memory killer ends stays away until a row sets it to 0; ``kills`` counts them.

    It needs a guest that is modelled; without one it asks for nothing. Nothing is random here. Raises
    ParameterError with all faults of the file at once, with line numbers.
    """

    name: ClassVar[str] = "load-trace"
    summary: ClassVar[str] = "programs in the guest that use memory as a CSV file says"

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        path: Annotated[str, FilePath(), "the CSV file: t_s, kind, name, amount (docs/logs.md)"],
        rate: Annotated[
            int, Size(zero=True, unit="bytes/s"), "how fast a load takes what it wants; 0 stands for at once"
        ] = 0,
        speed: Speed = 1.0,
        tick: Tick = 0.1,
        tail: Annotated[float, Seconds(), "simulated time after the last row"] = 60.0,
    ) -> None:
        check.done()
        self._rate = rate
        self._tick_us = seconds_to_us(tick)
        self._kinds: dict[str, str] = {}
        self._targets: dict[str, list[Target]] = {}
        self._drops: list[Target] = []
        self._end_us = self._read(Path(path), speed) + seconds_to_us(tail)
        if self._end_us > LONGEST_US:
            check.fault("speed", f"makes the run longer than {SECONDS_LIMIT} seconds")
        self._loads: dict[str, GuestProcess] = {}

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """Nothing is plugged."""
        del pace
        return parameters

    @property
    def kills(self) -> int:
        """Loads that were killed in the last run, as far as they have noticed."""
        return sum(load.kills for load in self._loads.values())

    def duration(self) -> float:
        """Seconds of simulated time: the file at its speed, and the tail."""
        return us_to_seconds(self._end_us)

    def node_capacity(self) -> tuple[int, ...]:
        """No node: nothing is plugged."""
        return ()

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Set the loads as the file says."""
        self._loads = {}
        if host.mem_available() is None:
            return
        env = host.env
        self._loads = {name: GuestProcess(host, list(parts_of(name, kind))) for name, kind in self._kinds.items()}
        running = [
            env.process(
                drive(
                    host,
                    load,
                    iter(self._targets[name]),
                    rate=self._rate,
                    tick_us=self._tick_us,
                    end_us=self._end_us,
                )
            )
            for name, load in self._loads.items()
        ]
        running.append(env.process(self._dropping(host)))
        yield env.all_of(running)

    def _dropping(self, host: Host) -> Generator[simpy.Event, object, None]:
        for at, number in self._drops:
            if at > host.env.now:
                yield host.env.timeout(at - int(host.env.now))
            write_drop_caches(host, number)

    def _read(self, file: Path, speed: float) -> int:
        """Read all rows; return the microsecond of the last one."""
        faults = TableFaults("path", file.name)
        last = 0.0
        lines: dict[str, int] = {}
        for line, row in rows(text_lines(file, faults), _COLUMNS, None, faults):
            time = _time(row["t_s"], last, line, faults)
            amount = _amount(row, line, faults)
            name = row["name"]
            if not name and row["kind"] != DROP_CACHES:
                faults.add(line, "name: must not be empty")
            if time is None or amount is None or not (name or row["kind"] == DROP_CACHES):
                continue
            last = time
            at = round(time * MICROSECONDS / speed)
            if row["kind"] == DROP_CACHES:
                self._drops.append((at, amount))
                continue
            kind = self._kinds.setdefault(name, row["kind"])
            lines.setdefault(name, line)
            if kind != row["kind"]:
                faults.add(line, f"kind: {shown(name)} is {kind} in line {lines[name]}, and cannot be {row['kind']}")
                continue
            self._targets.setdefault(name, []).append((at, amount))
        if not self._targets and not self._drops:
            faults.done()
            faults.add(0, "holds no rows but the names of the columns")
        faults.done()
        return round(last * MICROSECONDS / speed)


def _time(text: str, last: float, line: int, faults: TableFaults) -> float | None:
    try:
        time = float(text)
    except ValueError:
        time = math.nan
    if not 0 <= time <= LONGEST_US / MICROSECONDS:
        faults.add(line, f"t_s: must be a number of seconds, not negative, but is {shown(text)}")
        return None
    if time < last:
        faults.add(line, f"t_s: must not be before the row above ({last:g}), but is {shown(text)}")
        return None
    return time


def _amount(row: dict[str, str], line: int, faults: TableFaults) -> int | None:
    """Return the amount of a row whose kind is known, None with its faults told."""
    check = Checker()
    text = row["amount"]
    kind = check.take("kind", row["kind"], Word((*KINDS, *MIXES, DROP_CACHES)), "")
    amount = None
    if not check.faults and kind in (*BYTE_KINDS, *MIXES):
        try:
            amount = check.take("amount", parse_size(text), Size(zero=True), 0)
        except ValueError as error:
            check.fault("amount", str(error))
    elif not check.faults:
        most = max(_DROPS) if kind == DROP_CACHES else _MOST_PIECES
        if not text.isdecimal() or int(text[:20]) > most or (kind == DROP_CACHES and int(text) not in _DROPS):
            what = "1, 2 or 3" if kind == DROP_CACHES else "a whole number of pieces"
            check.fault("amount", f"must be {what}, but is {shown(text)}")
        else:
            amount = int(text)
    for fault in check.faults:
        faults.add(line, fault)
    return None if check.faults else amount
