"""The plain implementation against recorded kernels: every zone, span, present count and ``valid_zones``.

Which blocks a virtio-mem device adds and removes is taken from the recording here (its driver is not part of
the plain implementation); what is decided about them is not.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.plain import dimm, linux
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

if TYPE_CHECKING:
    from collections.abc import Iterator
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
        self.block_pages = trace["memory_block_size"] // self.page
        boot = trace["boot"]
        zones = [
            BootZone(
                zone["node"],
                zone["zone"],
                zone["start_pfn"],
                zone["spanned_pages"],
                zone["present_pages"],
                zone.get("cma_pages", 0),
            )
            for zone in boot["zones"]
            if zone["zone"] in ZONES
        ]
        blocks = [self._boot_block(number, run, zones) for number, run in runs(boot)]
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
        self.groups: dict[str, int] = {}

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
        online_after = {number for number, run in runs(step["after"]) if run["state"] == "online"}
        devices = {device["id"]: device for device in step["devices"]}
        match step["op"]:
            case "plug_dimm":
                self._plug_dimm(devices.get(step["id"]))
            case "unplug_dimm":
                self._unplug_dimm(step["id"], refused=step["result"] == "error")
            case "add_dax":
                self._add_dax(devices[step["id"]])
            case "remove_dax":
                self._remove_dax(step["id"])
            case "set_policy":
                self.set_policy(step)
            case "set_block_state":
                self._set_block_state(step, online_after)
        self._follow_all(step)

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
        device = self.dimms[name]
        kernel = {
            number
            for number in device.bound_blocks(self.machine)
            if self.machine.blocks[number].zone not in {None, MOVABLE}
        }
        try:
            dimm.eject(self.machine, device, refusing=kernel if refused else ())
        except LinuxError:
            assert refused
        else:
            assert not refused
            del self.dimms[name]

    def _add_dax(self, device: dict[str, Any]) -> None:
        first, pages = (device[key] * self.block_pages for key in ("block_start", "block_count"))
        self.groups[device["id"]] = linux.register_static(self.machine, device["node"], pages)
        linux.add(self.machine, first, pages, group=self.groups[device["id"]])

    def _remove_dax(self, name: str) -> None:
        numbers = sorted(block.number for block in self.machine.blocks_of(self.groups[name]))
        for number in reversed(numbers):
            if self.machine.blocks[number].online:
                linux.write_state(self.machine, number, "offline")
        linux.remove(self.machine, numbers[0] * self.block_pages, len(numbers) * self.block_pages)
        linux.unregister(self.machine, self.groups.pop(name))

    def _set_block_state(self, step: dict[str, Any], online_after: set[int]) -> None:
        numbers = range(step["block"], step["block"] + step.get("count", 1))
        for number in reversed(numbers) if step.get("reverse") else numbers:
            if number not in self.machine.blocks:  # a device goes on adding while its blocks come online
                self._follow_all(step)
            block = self.machine.blocks[number]
            may_refuse = block.early or block.zone != MOVABLE
            refuse = step["state"] == "offline" and may_refuse and number in online_after
            try:
                linux.write_state(self.machine, number, step["state"], refuse=refuse)
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

    def compare(self, snapshot: Snapshot) -> None:
        machine = self.machine
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


def test_recorded_kernel(kernel_trace: Path) -> None:
    trace = json.loads(kernel_trace.read_text(encoding="utf-8"))
    replay = Replay(trace)
    replay.compare(trace["boot"])
    for number, step in enumerate(trace["steps"]):
        replay.step(step)
        try:
            replay.compare(step["after"])
        except AssertionError as error:
            error.add_note(f"after step {number}: {step['op']} {step.get('id', '')}")
            raise
    assert replay.machine.decisions > 0
