"""The plain implementation against recorded kernels: every zone, span, present count and ``valid_zones``.

Which blocks a virtio-mem device adds and removes is taken from the recording here (its driver is not part of
the plain implementation); what is decided about them is not.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.plain import dax, dimm, linux
from tests.plain.machine import (
    MOVABLE,
    SUBSECTION_PAGES,
    ZONES,
    Block,
    BootZone,
    Knobs,
    LinuxError,
    Machine,
    Part,
)
from tests.support.places import DATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Snapshot = dict[str, Any]


def runs(snapshot: Snapshot) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every block of a snapshot: its number and the run that tells about it."""
    for run in snapshot["blocks"]:
        for number in range(run["start"], run["start"] + run["count"]):
            yield number, run


class Replay:
    """One recording, driven through the plain machine."""

    def __init__(self, trace: dict[str, Any]) -> None:
        self.page = trace["page_size"]
        self.series = tuple(int(number) for number in trace["kernel"].split(".")[:2])
        self.block_pages = trace["memory_block_size"] // self.page
        boot = trace["boot"]
        names = {entry["id"] for entry in trace["machine"].get("cold_dimms", ())}
        cold = [device for device in trace["steps"][0]["devices"] or () if device["id"] in names]
        later = {number for device in cold for number in self._blocks_of_device(device)}
        online_later = {number: run for number, run in runs(boot) if number in later and run["state"] == "online"}
        plugged = Counter((run["node"], run["zone"]) for run in online_later.values())
        zones = [
            BootZone(
                zone["node"],
                zone["zone"],
                zone["start_pfn"],
                zone["spanned_pages"],
                zone["present_pages"] - plugged[zone["node"], zone["zone"]] * self.block_pages,
                zone.get("cma_pages", 0),
            )
            for zone in boot["zones"]
            if zone["zone"] in ZONES
        ]
        blocks = [self._boot_block(number, run, zones) for number, run in runs(boot) if number not in later]
        self.machine = Machine(
            self.block_pages,
            trace["section_size"] // self.page,
            frozenset(node["nid"] for node in trace["machine"]["nodes"]),
            tuple(zones),
            tuple(blocks),
            Knobs(movable_node="movable_node" in trace["kernel_cmdline"].split()),
        )
        self.set_policy(trace["policy"])
        self.dimms: dict[str, dimm.Dimm] = {}
        self.daxes: dict[str, dax.Dax] = {}
        self.groups: dict[str, int] = {}
        # DIMMs that were there when the kernel started: their blocks are where the recording has them then.
        auto_online, self.machine.knobs.auto_online = self.machine.knobs.auto_online, "offline"
        for device in cold:
            self._plug_dimm(device)
        self.machine.knobs.auto_online = auto_online
        for number, run in online_later.items():
            first, end = self.machine.first_page(number), self.machine.end_page(number)
            self.machine.blocks[number].parts = (Part(first, end, run["node"], run["zone"]),)

    def _blocks_of_device(self, device: dict[str, Any]) -> range:
        return range(device["block_start"], device["block_start"] + device["block_count"])

    def _boot_block(self, number: int, run: dict[str, Any], zones: list[BootZone]) -> Block:
        first, end = number * self.block_pages, (number + 1) * self.block_pages
        if run["zone"] != "none":
            return Block(number, run["node"], early=True, parts=(Part(first, end, run["node"], run["zone"]),))
        parts = [
            Part(max(first, zone.start), min(end, zone.start + zone.spanned), zone.node, zone.zone)
            for zone in zones
            if zone.start < end and first < zone.start + zone.spanned
        ]
        return Block(number, run["node"], early=True, parts=tuple(parts))

    def set_policy(self, policy: dict[str, Any]) -> None:
        knobs = self.machine.knobs
        knobs.policy = policy.get("online_policy", knobs.policy)
        knobs.ratio = policy.get("auto_movable_ratio", knobs.ratio)
        knobs.numa_aware = policy.get("auto_movable_numa_aware", knobs.numa_aware)
        knobs.auto_online = policy.get("auto_online_blocks", knobs.auto_online)

    def step(self, step: dict[str, Any]) -> None:
        self.zones_after = {number: run["zone"] for number, run in runs(step["after"]) if run["state"] == "online"}
        devices = {device["id"]: device for device in step["devices"]}
        failed = step["result"] == "error"
        match step["op"]:
            case "plug_dimm":
                self._plug_dimm(devices.get(step["id"]))
            case "plug_dimms":
                for name in step["ids"]:
                    self._plug_dimm(devices.get(name))
            case "unplug_dimm":
                self._unplug_dimm(step["id"], refused=failed)
            case "add_dax" | "add_hmem":
                self._add_dax(devices[step["id"]])
            case "remove_dax":
                self._remove_dax(self.daxes[step["id"]], refused=failed)
            case "bind_dax" | "unbind_dax" | "set_dax_state":
                self._dax_verb(step, self.daxes[step["id"]], failed=failed)
            case "set_policy":
                self.set_policy(step)
            case "set_block_state":
                self._set_block_state(step)
        self._follow_all(step)

    def _dax_verb(self, step: dict[str, Any], device: dax.Dax, *, failed: bool) -> None:
        """Do something to a dax device, which fails where it did in the recording, and only there."""
        try:
            match step["op"]:
                case "bind_dax":
                    dax.bind(self.machine, device)
                case "unbind_dax":
                    dax.unbind(self.machine, device)
                case _:
                    refusing = self._refusing(device.blocks(self.machine)) if failed else set()
                    dax.write_state(self.machine, device, step["state"], refusing)
        except LinuxError:
            assert failed
        else:
            assert not failed

    def _refusing(self, numbers: Iterable[int]) -> set[int]:
        """Those blocks that stay online in the kernel zone that they have: the guest did not let them go."""
        zones = {number: self.machine.blocks[number].zone for number in numbers}
        return {
            number
            for number, zone in zones.items()
            if zone not in {None, MOVABLE} and self.zones_after.get(number) == zone
        }

    def _follow_all(self, step: dict[str, Any]) -> None:
        present_after = {number for number, _ in runs(step["after"])}
        for device in step["devices"]:
            if "memaddr" in device:
                self._follow_virtio_mem(device, present_after)

    def _plug_dimm(self, device: dict[str, Any] | None) -> None:
        if device is None or device["id"] in self.dimms:
            return
        plugged = dimm.Dimm(device["node"], [(device["addr"] // self.page, device["size"] // self.page)])
        self.dimms[device["id"]] = plugged
        try:
            dimm.plug(self.machine, plugged)
        except LinuxError:
            assert plugged.ranges[0][0] % self.block_pages or plugged.ranges[0][1] % self.block_pages

    def _unplug_dimm(self, name: str, *, refused: bool) -> None:
        device = self.dimms.get(name)
        if device is None:
            assert refused
            return
        refusing = self._refusing(device.bound_blocks(self.machine)) if refused and device.group is not None else set()
        try:
            dimm.eject(self.machine, device, refusing=refusing)
        except LinuxError:
            assert refused
        else:
            assert not refused
            del self.dimms[name]

    def _add_dax(self, device: dict[str, Any]) -> None:
        parts = device.get("ranges") or [device]
        ranges = [(part["block_start"], part["block_count"]) for part in parts]
        new = dax.Dax(device["node"], [(first * self.block_pages, n * self.block_pages) for first, n in ranges if n])
        self.daxes[device["id"]] = new
        dax.bind(self.machine, new)

    def _remove_dax(self, device: dax.Dax, *, refused: bool) -> None:
        """``offline`` to every block, highest first; unbound only where all went."""
        numbers = device.blocks(self.machine)
        refusing = self._refusing(numbers)
        for number in reversed(numbers):
            if self.machine.blocks[number].online and number not in refusing:
                linux.write_state(self.machine, number, "offline")
        if any(self.machine.blocks[number].online for number in numbers):
            assert refused
        else:
            dax.unbind(self.machine, device)

    def _set_block_state(self, step: dict[str, Any]) -> None:
        numbers = range(step["block"], step["block"] + step.get("count", 1))
        for number in reversed(numbers) if step.get("reverse") else numbers:
            if number not in self.machine.blocks:  # a device goes on adding while its blocks come online
                self._follow_all(step)
            block = self.machine.blocks.get(number)
            if block is None:
                assert step["result"] == "error"
                continue
            may_refuse = block.early or block.zone != MOVABLE
            stays = block.zone is not None and self.zones_after.get(number) == block.zone
            try:
                linux.write_state(
                    self.machine, number, step["state"], refuse=step["state"] == "offline" and may_refuse and stays
                )
            except LinuxError:
                assert step["result"] == "error"

    def _follow_virtio_mem(self, device: dict[str, Any], present_after: set[int]) -> None:
        """Remove what the recording removed, MOVABLE first and downwards; add what it added, upwards."""
        unit = self.block_pages
        if max(device["block_size"], SUBSECTION_PAGES * self.page) >= self.block_pages * self.page:
            unit = max(device["block_size"] // self.page, self.block_pages)
        if device["id"] not in self.groups:
            self.groups[device["id"]] = linux.register_dynamic(self.machine, device["node"], unit)
        group = self.groups[device["id"]]
        machine = self.machine
        first = device["memaddr"] // self.page
        end = first + device["max_size"] // self.page
        gone = [block for block in machine.blocks_of(group) if block.number not in present_after]
        gone.sort(key=lambda block: (block.zone != MOVABLE, -block.number))
        for block in gone:
            linux.offline_and_remove(machine, machine.first_page(block.number), self.block_pages)
        new = sorted(
            number
            for number in present_after
            if first <= machine.first_page(number) < end and number not in machine.blocks
        )
        for page in dict.fromkeys(machine.first_page(number) // unit * unit for number in new):
            linux.add(machine, page, unit, group=group)

    def compare(self, snapshot: Snapshot, devices: Iterable[dict[str, Any]] = ()) -> None:
        machine = self.machine
        for device in devices:
            if "dax_state" in device and self.series >= (7, 3):
                assert self.daxes[device["id"]].state == device["dax_state"], device["id"]
        recorded = {
            number: (run["state"], run["zone"], run["node"], (run.get("valid_zones") or "").split(" ")[0])
            for number, run in runs(snapshot)
        }
        found = {
            block.number: (
                "online" if block.online else "offline",
                (block.zone or "none") if block.online else None,
                block.node,
                "" if block.online else linux.valid_zones(machine, block.number)[0],
            )
            for block in machine.blocks.values()
        }
        assert found == recorded
        zones: dict[tuple[int, str], tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
        for zone in snapshot["zones"]:
            if zone["zone"] in ZONES:
                zones[zone["node"], zone["zone"]] = (
                    zone["present_pages"],
                    zone["start_pfn"],
                    zone["spanned_pages"],
                )
        for node, name in machine.spans:
            start, end = machine.spans[node, name]
            assert (machine.present(node, name), start, end - start) == zones[node, name], (node, name)


def check(path: Path) -> None:
    """Replay a recording and compare after every step, up to where the guest died."""
    trace = json.loads(path.read_text(encoding="utf-8"))
    if any(step["op"] in {"exec", "reactive_growth"} for step in trace["steps"]):
        pytest.skip("what comes back depends on what programs hold")
    replay = Replay(trace)
    replay.compare(trace["boot"])
    for number, step in enumerate(trace["steps"]):
        if not step.get("after"):
            break
        replay.step(step)
        try:
            replay.compare(step["after"], step["devices"])
        except AssertionError as error:
            error.add_note(f"after step {number}: {step['op']} {step.get('id', '')}")
            raise
    assert replay.machine.decisions > 0


def test_recorded_kernel(our_recording: Path) -> None:
    check(our_recording)


def test_dimms_that_were_online_at_boot_are_no_boot_memory(tmp_path: Path) -> None:
    """A recording in which they were put online later, begun after that."""
    path = DATA / "kernel-traces-2" / "f3-order-cold-late-contig.json"
    trace = json.loads(path.read_text(encoding="utf-8"))
    at = 30
    trace["boot"], trace["steps"] = trace["steps"][at - 1]["after"], trace["steps"][at:]
    later = tmp_path / "later.json"
    later.write_text(json.dumps(trace))
    check(later)
    machine = Replay(trace).machine
    boot_memory = sum(zone["present_pages"] for zone in trace["boot"]["zones"] if zone["zone"] in {"DMA", "DMA32"})
    assert sum(machine.zone_pages(early_only=True).values()) == boot_memory


@pytest.mark.slow
def test_recorded_kernel_of_any_folder(recording: Path) -> None:
    check(recording)
