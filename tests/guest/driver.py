"""Feeds a guest from a recording: zones as recorded, hotplug in the drivers' order, ``exec`` lines as demand.

A plain stand-in for the device models, used to check the guest alone: what a guest gives up is its own decision, the zone of each
block is taken from the recorded snapshots.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sim.guest import BootZone, GuestModel, OomEvent, parameters_for
from sim.guest.contract import DMA, MOVABLE, ZONE_NAMES
from sim.guest.load_commands import apply, ooms, parse_command

if TYPE_CHECKING:
    from pathlib import Path

    from sim.guest import GuestParameters

_PAGE = 4096


@dataclass
class Row:
    """One step: simulated and recorded free MiB by zone, plugged MiB by device, MiB of kernel pages, kills; MemFree in MiB."""

    step: int
    op: str
    label: str
    free: dict[str, tuple[float, float]] = field(default_factory=dict)
    plugged: dict[str, tuple[float, float]] = field(default_factory=dict)
    kernel: tuple[float, float | None] = (0.0, None)
    oom: tuple[int, int] = (0, 0)
    mem_free: tuple[float, float] = (0.0, 0.0)
    returned: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    events: tuple[OomEvent, ...] = ()


class Driver:
    """One recording played into one guest."""

    def __init__(self, trace: dict[str, Any], parameters: GuestParameters | None = None) -> None:
        self.trace = trace
        series = "6.12" if trace.get("kernel_series") == "6.12" or trace["kernel"].startswith("6.12") else "6.1"
        self.block_pages = trace["memory_block_size"] // _PAGE
        self.guest = GuestModel(parameters or parameters_for(series), block_pages=self.block_pages)
        self.full = (1 << 64) - 1
        self.devices: dict[str, dict[str, Any]] = {}
        self.state: dict[int, tuple[int, int] | None] = {}
        """Online zone (node, zone) of each known block, None while offline."""
        self.node: dict[int, int] = {}
        self.plugged: dict[str, dict[int, int]] = {}
        """Mask of plugged sub-blocks by device and block."""
        self.sub: dict[str, int] = {}
        self.target: dict[int, tuple[int, int]] = {}
        self.events: list[OomEvent] = []
        self.hosted: set[int] = set()
        """Blocks that hold their own memmap."""
        self._boot()

    def _boot(self) -> None:
        boot = self.trace["boot"]
        runs: dict[tuple[int, int], list[tuple[int, int]]] = {}
        mixed: list[tuple[int, int]] = []
        for r in boot["blocks"]:
            for b in range(r["start"], r["start"] + r["count"]):
                self.node[b] = r["node"]
                self.state[b] = None
            if r["state"] != "online":
                continue
            if r["zone"] in ZONE_NAMES:
                key = (r["node"], ZONE_NAMES.index(r["zone"]))
                runs.setdefault(key, []).append((r["start"], r["count"]))
                for b in range(r["start"], r["start"] + r["count"]):
                    self.state[b] = key
            else:
                mixed.append((r["start"], r["node"]))
        zones = [z for z in boot["zones"] if z["zone"] in ZONE_NAMES]
        for block, node in mixed:
            first = block * self.block_pages
            inside = [
                ZONE_NAMES.index(z["zone"])
                for z in zones
                if z["node"] == node
                and z["start_pfn"] < first + self.block_pages
                and first < z["start_pfn"] + z["spanned_pages"]
            ]
            kernel = [z for z in inside if z != MOVABLE]
            if kernel:
                runs.setdefault((node, max(kernel)), []).append((block, 1))
        unknown = sum(z["managed_pages"] for z in zones) - boot["mem_free"] // _PAGE
        pcp = self.guest.parameters.idle_pcp_bytes // _PAGE
        first = max((z["node"] == min(x["node"] for x in zones), ZONE_NAMES.index(z["zone"]) != MOVABLE,
                     ZONE_NAMES.index(z["zone"])) for z in zones)
        out = []
        for z in zones:
            n = ZONE_NAMES.index(z["zone"])
            if "free_pages" in z:
                on_lists = z.get("pcp_pages", pcp if n != DMA else 0)
                free = min(z["managed_pages"], z["free_pages"] + on_lists)
            else:
                # Only the sum was recorded: the idle kernel's use lies in the first node's highest kernel zone.
                mine = (z["node"] == min(x["node"] for x in zones), n != MOVABLE, n) == first
                on_lists = pcp if mine else 0
                free = z["managed_pages"] - (unknown - pcp if mine else 0)
            out.append(BootZone(z["node"], n, z["managed_pages"], free, on_lists, z["present_pages"],
                                tuple(runs.get((z["node"], n), ()))))
        self.guest.boot(out)

    # Steps.

    def rows(self) -> list[Row]:
        """Play all steps; return one row for each."""
        out = []
        for i, step in enumerate(self.trace["steps"]):
            self.events = []
            after = step.get("after")
            if after:
                self._targets(after)
            for d in step.get("devices", ()):
                self.devices[d["id"]] = {**self.devices.get(d["id"], {}), **d}
            getattr(self, "_" + step["op"], self._nothing)(step)
            self.guest.check()
            row = Row(i, step["op"], step.get("command", step.get("id", "")), oom=(len(self.events), step.get("oom_count", 0)),
                      events=tuple(self.events))
            self._compare(row, step, after)
            out.append(row)
        return out

    def _nothing(self, step: dict[str, Any]) -> None:
        pass

    def _targets(self, after: dict[str, Any]) -> None:
        self.recorded: dict[int, str] = {}
        for r in after["blocks"]:
            for b in range(r["start"], r["start"] + r["count"]):
                self.node[b] = r["node"]
                self.recorded[b] = r["state"]
                if r["state"] == "online" and r["zone"] in ZONE_NAMES:
                    self.target[b] = (r["node"], ZONE_NAMES.index(r["zone"]))
                else:
                    self.target.pop(b, None)

    def _compare(self, row: Row, step: dict[str, Any], after: dict[str, Any] | None) -> None:
        uses = self.guest.uses()
        row.mem_free = (sum(u.free - u.pcp for u in uses) / 256, after["mem_free"] / 2**20 if after else 0.0)
        kernel = sum(u.kernel + u.memmap for u in uses) / 256
        recorded = None
        if after and "block_use" in after:
            c = self.trace["block_use_columns"]
            base = self.trace["boot"]["block_use"]
            cols = [c.index(x) for x in ("slab", "pagetable", "other")]
            recorded = (
                sum(r[k] for r in after["block_use"] for k in cols) - sum(r[k] for r in base for k in cols)
            ) / 256
        row.kernel = (kernel, recorded)
        for z in (after or {"zones": ()})["zones"]:
            if z["zone"] in ZONE_NAMES and "free_pages" in z:
                key = (z["node"], ZONE_NAMES.index(z["zone"]))
                mine = next((u for u in uses if (u.node, u.zone) == key), None)
                row.free[f"{z['node']}/{z['zone']}"] = (
                    (mine.free - mine.pcp) / 256 if mine else 0.0,
                    z["free_pages"] / 256,
                )
        if "size" in step and step["op"] != "plug_dimm":
            name = step["id"]
            mine_size = sum(m.bit_count() for m in self.plugged.get(name, {}).values()) * self.sub.get(name, 0)
            row.plugged[name] = (mine_size / 256, step["size"] / 2**20)
        if step["op"] == "unplug_dimm" and step["id"] in self.devices:
            gone = all(b not in self.state for b in self._blocks(step["id"]))
            row.returned[step["id"]] = (gone, all(b not in self.recorded for b in self._blocks(step["id"])) if after else gone)

    def _exec(self, step: dict[str, Any]) -> None:
        self.events += ooms(apply(self.guest, parse_command(step["command"])))

    # DIMMs and single blocks.

    def _blocks(self, name: str) -> range:
        d = self.devices[name]
        if "block_count" in d and d["block_count"]:
            return range(d["block_start"], d["block_start"] + d["block_count"])
        start = d.get("addr", d.get("memaddr", 0)) // _PAGE // self.block_pages
        return range(start, start + d.get("size", 0) // _PAGE // self.block_pages)

    def _plug_dimm(self, step: dict[str, Any]) -> None:
        if step["result"] != "ok":
            return
        blocks = self._blocks(step["id"])
        if not blocks or blocks[0] not in self.recorded:
            return
        # Self-hosted memmap: 6.1 only for an add of one block, 6.12 for any.
        altmap = bool(self.trace["policy"].get("memmap_on_memory")) and step["op"] == "plug_dimm"
        altmap = altmap and (len(blocks) == 1 or self.guest.parameters.series == "6.12")
        if not self.guest.add_memory(self.node.get(blocks[0], step["node"]), blocks[0], len(blocks), altmap):
            raise AssertionError(f"{self.trace['name']}: DIMM {step['id']} could not be added")
        if altmap:
            self.hosted.update(blocks)
        for b in blocks:
            self.state[b] = None
        self._online_all(blocks)

    _add_dax = _plug_dimm

    def _online_all(self, blocks: Any) -> None:
        run: list[int] = []
        for b in blocks:
            t = self.target.get(b)
            if t is None or self.state.get(b) is not None:
                continue
            if run and (b != run[-1] + 1 or self.target[run[0]] != t):
                self._online_run(run)
                run = []
            run.append(b)
        if run:
            self._online_run(run)

    def _online_run(self, run: list[int]) -> None:
        node, zone = self.target[run[0]]
        self.guest.online(zone, node, run[0], len(run), self._pages_of(run[0]))
        for b in run:
            self.state[b] = (node, zone)

    def _unplug_dimm(self, step: dict[str, Any]) -> None:
        if "not found" in step["detail"] or step["id"] not in self.devices:
            return
        self._take_off(self._blocks(step["id"]))

    def _remove_dax(self, step: dict[str, Any]) -> None:
        self._take_off(self._blocks(step["id"]))

    def _take_off(self, blocks: range) -> None:
        kept: list[int] = []
        gone: list[tuple[int, tuple[int, int]]] = []
        for b in blocks:
            where = self.state.get(b)
            if where is None:
                continue
            result = self.guest.offline(where[1], where[0], b, 1, self._pages_of(b))
            self.events += result.ooms
            if result.refused:
                kept.append(b)
            else:
                gone.append((b, where))
                self.state[b] = None
        if kept:
            for b, where in gone:
                self.target.setdefault(b, where)
            self._online_all([b for b, _ in gone])
            return
        for b in blocks:
            self.state.pop(b, None)
        self.hosted.difference_update(blocks)
        self.guest.remove_memory(blocks[0], len(blocks))

    def _set_block_state(self, step: dict[str, Any]) -> None:
        order = range(step["block"], step["block"] + step.get("count", 1))
        for b in reversed(order) if step.get("reverse") else order:
            where = self.state.get(b)
            if step["state"] == "offline" and where is not None:
                result = self.guest.offline(where[1], where[0], b, 1, self._pages_of(b))
                self.events += result.ooms
                if not result.refused:
                    self.state[b] = None
            elif step["state"] != "offline" and where is None and b in self.target:
                node, zone = self.target[b]
                self.guest.online(zone, node, b, 1, self._pages_of(b))
                self.state[b] = (node, zone)

    def _pages_of(self, block: int) -> int:
        for name, masks in self.plugged.items():
            if block in masks:
                return masks[block].bit_count() * self.sub[name]
        return self.block_pages - (self.block_pages // 64 if block in self.hosted else 0)

    # virtio-mem.

    def _add_virtio_mem(self, step: dict[str, Any]) -> None:
        name = step["id"]
        self.sub[name] = max(512, step["block_size"] // _PAGE)
        self.plugged[name] = {}
        self.devices.setdefault(name, {})["sbm"] = self.sub[name] < self.block_pages
        self._resize_virtio_mem(step)

    def _resize_virtio_mem(self, step: dict[str, Any]) -> None:
        name, sub = step["id"], self.sub[step["id"]]
        have = sum(m.bit_count() for m in self.plugged[name].values())
        diff = step["requested_size"] // _PAGE // sub - have
        if diff > 0:
            self._grow(name, diff)
        elif diff < 0:
            self._shrink(name, -diff)

    def _grow(self, name: str, want: int) -> None:
        sub, masks = self.sub[name], self.plugged[name]
        per = max(1, self.block_pages // sub)
        full = (1 << per) - 1
        order = sorted((b for b, m in masks.items() if m != full), key=lambda b: ((self.state.get(b) or (0, 9))[1] == MOVABLE, b))
        for b in order:
            free, take = full & ~masks[b], 0
            while free and want:
                take |= free & -free
                free &= free - 1
                want -= 1
            where = self.state.get(b)
            if take and where is not None:
                self.guest.take_subblocks(where[1], where[0], b, take, sub)
            masks[b] |= take
        d = self.devices[name]
        b = -(-d["memaddr"] // _PAGE // self.block_pages)
        width = max(1, sub // self.block_pages)
        while want:
            if b not in masks:
                n = min(per, want) if width == 1 else 1
                node = self.node.get(b, d.get("node", 0))
                if not self.guest.add_memory(node, b, width, altmap=False):
                    return
                want -= n
                masks[b] = (1 << n) - 1
                for x in range(b, b + width):
                    self.state[x] = None
                    t = self.target.get(x)
                    if t is not None:
                        self.guest.online(t[1], t[0], x, 1, n * sub // width)
                        self.state[x] = t
            b += width

    def _shrink(self, name: str, want: int) -> None:
        sub, masks = self.sub[name], self.plugged[name]
        per = max(1, self.block_pages // sub)
        full = (1 << per) - 1
        if sub >= self.block_pages:
            self._shrink_big(name, want)
            return

        def rank(b: int) -> tuple[int, int]:
            where, part = self.state.get(b), masks[b] != full
            kind = (0 if part else 1) if where is None else (2 if part else 4) if where[1] == MOVABLE else (3 if part else 5)
            return kind, -b

        for b in sorted(masks, key=rank):
            if not want:
                return
            where = self.state.get(b)
            if where is None:
                n = min(want, masks[b].bit_count())
                for _ in range(n):
                    masks[b] &= ~(1 << (masks[b].bit_length() - 1))
                want -= n
            else:
                given = self.guest.give_subblocks(where[1], where[0], b, masks[b], sub, want)
                self.events += given.ooms
                masks[b] &= ~given.mask
                want -= given.mask.bit_count()
            if not masks[b]:
                if where is not None:
                    if self.guest.offline(where[1], where[0], b, 1, 0).refused:
                        continue
                del masks[b]
                self.state.pop(b, None)
                self.guest.remove_memory(b, 1)

    def _shrink_big(self, name: str, want: int) -> None:
        masks, width = self.plugged[name], self.sub[name] // self.block_pages
        for only_movable in (True, False):
            for b in sorted(masks, reverse=True):
                blocks = range(b, b + width)
                if not want:
                    return
                if only_movable and any((self.state.get(x) or (0, MOVABLE))[1] != MOVABLE for x in blocks):
                    continue
                if not all(self.guest.can_offline(w[1], w[0], x) for x in blocks if (w := self.state.get(x))):
                    continue
                for x in blocks:
                    where = self.state.pop(x, None)
                    if where is not None:
                        self.events += self.guest.offline(where[1], where[0], x, 1, self.block_pages).ooms
                self.guest.remove_memory(b, width)
                del masks[b]
                want -= 1

    def _reactive_growth(self, step: dict[str, Any]) -> None:
        """Touch memory in small steps; raise the request as the recording's host did, a quarter second late."""
        name, done, size, due = step["id"], 0, step["start"], 0
        while done < step["total_mib"]:
            n = min(4, step["total_mib"] - done)
            self.events += self.guest.anonymous(step["load"], n * 256).ooms
            done += n
            if due and done >= due:
                due = 0
                size += step["step"]
                self._resize_virtio_mem({**step, "requested_size": size})
            if not due and self.guest.mem_available() * _PAGE < step["threshold"] and size < step["limit"]:
                due = done + min(step["rate_mib"], 250) // 4


def play(path: Path, parameters: GuestParameters | None = None) -> list[Row]:
    """Play a recording and return its rows."""
    return Driver(json.loads(path.read_text()), parameters).rows()
