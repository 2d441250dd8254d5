"""Connects a guest model to a run: boots it with the machine, passes demand on, and samples what it looks like inside.

The guest model itself (:mod:`sim.guest`) knows neither time nor devices; this is the engine's side of it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sim.guest import PRESETS, GuestModel, default_boot, parameters_of
from sim.guest.contract import DemandKind
from sim.guest.parameters import SCATTER
from sim.guest.presets import FROM_FREE, SYSTEM_CACHE
from sim.guest.uncertainty import draw_factors, scaled
from sim.kernel.alarms import Alarms
from sim.kernel.guest_samples import GuestSamples, period_us
from sim.kernel.kernel_pressure import KernelPressure, WatchedGuest, wants_to_know
from sim.kernel.listener import CoreListener
from sim.kernel.returnable import Returnable
from sim.kernel.wishes import Wishes
from sim.memory.zones import ZONE_MOVABLE
from sim.pages import PAGES_4K, PageGeometry
from sim.record.run_result import KernelNeed
from sim.units import seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt
    import simpy

    from policies.contract import Policy
    from sim.guest import BootZone, Demand, Free, GuestParameters, PresentZone
    from sim.guest.contract import Guest, OomEvent
    from sim.guest.report import GuestReport
    from sim.guest.reserve import BootOptions
    from sim.kernel.hotplug_core import HotplugCore
    from sim.kernel.oom_log import OomLog
    from sim.memory.hotplug import Memory


@dataclass(frozen=True, slots=True)
class GuestSpec:
    """A guest to be modelled.

    ``parameters`` overrides fields of :class:`sim.guest.GuestParameters`; the others are those of ``preset`` (a name in
    :data:`sim.guest.PRESETS`, None for the machine's kernel series) and follow from ``free``, what ``free`` prints in
    such a guest. One of which the reserve is given has programs with page cache, as those known from ``free`` have.
    ``sample_every`` is the period of samples in seconds, 0 for about 5,000 a run, one second at least. ``draw``: what
    recordings scatter in is drawn, see :mod:`sim.guest.uncertainty`; ``factors`` is what was drawn.
    """

    parameters: Mapping[str, float] = field(default_factory=dict)
    sample_every: float = 0.0
    preset: str | None = None
    free: Free | None = None
    draw: bool = False
    factors: Mapping[str, float] = field(default_factory=dict)

    def drawn(self, streams: Callable[[str], np.random.Generator]) -> GuestSpec:
        """Return the guest with what is random in it drawn from ``streams``: alike for all policies."""
        return replace(self, factors=draw_factors(streams, self.known)) if self.draw else self

    @property
    def known(self) -> set[str]:
        """Parameters that are not drawn, because they are given."""
        free = self.free or (PRESETS[self.preset].free if self.preset else None)
        return {*self.parameters, *(FROM_FREE if free else ())}

    def boot(
        self, present: Sequence[PresentZone], options: BootOptions, geometry: PageGeometry = PAGES_4K
    ) -> tuple[GuestParameters, list[BootZone]]:
        """Return all parameters on a machine with these zones, booted with ``options``, and what is there at boot.

        ``geometry`` is that of the machine's pages. Raises ValueError or TypeError for what is no parameter or no value
        of it, and InputError where the machine is too small, or not what ``free`` says.
        """
        given = dict(self.parameters)
        if "boot_reserved_bytes" in given:
            given.setdefault("system_cache_bytes", SYSTEM_CACHE)
        parameters = replace(
            scaled(parameters_of(self.preset, self.free, present, options, geometry), self.factors),
            **given,  # type: ignore[arg-type]
        )
        return parameters, default_boot(present, parameters, options)


class _Kind(NamedTuple):
    """A kind of demand: the guest's ``verb``, the bytes of a ``unit`` of what is asked for, and what one counts as."""

    verb: Callable[[str, int, int], Demand]
    unit: int
    size: int


class GuestLink(CoreListener):
    """One guest in a run, on ``memory`` as it has booted; it listens to the core.

    ``present`` has every zone at boot; ``options`` say which kernel it is and how it was booted. ``model`` is
    the guest itself. ``hotplug_side`` is what the core is to ask: the model, watched where ``policy`` wants to be told
    that a node's kernel zones run short. ``ooms`` keeps all runs of the out-of-memory killer; ``killed`` are the loads
    whose process it ended. ``told`` is called after whatever is no hotplug and may have changed what the guest reports.
    Unless ``sampled``, no samples are taken.
    """

    def __init__(
        self,
        env: simpy.Environment,
        memory: Memory,
        present: Sequence[PresentZone],
        options: BootOptions,
        spec: GuestSpec,
        policy: Policy,
        ooms: OomLog,
        *,
        sampled: bool = True,
    ) -> None:
        self._env = env
        self.ooms = ooms
        self._memory = memory
        parameters, boot = spec.boot(present, options, memory.geometry)
        self._page_size = page_size = memory.geometry.size
        self.model = GuestModel(parameters, block_pages=memory.block_pages)
        self.model.boot(boot)
        self.model.stalls.clock = lambda: int(env.now)
        self._drawn = [name for name in spec.factors if parameters.series in SCATTER[name].series]
        self._boot_free = sum(entry.free for entry in boot if entry.zone != ZONE_MOVABLE)
        for entry in boot:
            memory.zone(entry.node, entry.zone).managed = entry.managed
        self._sample_us = seconds_to_us(spec.sample_every)
        self.killed: set[str] = set()
        self._kinds: dict[str, str] = {}
        """Kinds of the loads that use something, by name."""
        self._kernel_demand = array("q")
        self._rounded = 0
        self._most_zones = 3 * len({zone.node for zone in present})
        self._noted = 0
        self.told: Callable[[], None] | None = None
        self._wishes = Wishes(self.model)
        self._samples = GuestSamples(env, self.model, self._wishes, page_size)
        self.sample: Callable[[], None] = self._samples.take if sampled else _take_none
        """Note what the guest looks like now, if anybody wants to know."""
        self._alarms = Alarms(env, self.model, self._after_a_change)
        self._pressure = KernelPressure(policy, self.model) if wants_to_know(policy) else None
        self.hotplug_side: Guest = self.model if self._pressure is None else WatchedGuest(self.model, self._pressure)
        demands = self.model.demands
        verbs: dict[DemandKind, Callable[[str, int, int], Demand]] = {
            DemandKind.ANONYMOUS: demands.anonymous,
            DemandKind.ANONYMOUS_ONLY: demands.anonymous_only,
            DemandKind.PAGE_CACHE: demands.read_file,
            DemandKind.PAGE_CACHE_ONLY: demands.page_cache_only,
            DemandKind.TMPFS: demands.tmpfs_data,
            DemandKind.PAGE_TABLES: demands.page_tables,
            DemandKind.KERNEL_STACKS: demands.kernel_stacks,
            DemandKind.SLAB: demands.slab,
            DemandKind.PINNED: demands.pin,
            DemandKind.KERNEL: demands.kernel_memory,
            DemandKind.TMPFS_FILES: lambda name, files, node: demands.tmpfs_files(name, files, 0, node),
            DemandKind.DISK_FILES: lambda name, files, node: demands.disk_files(name, files, 0, node),
            DemandKind.WRITTEN_FILES: lambda name, files, node: demands.disk_files(name, files, page_size, node),
            DemandKind.PROCESSES: demands.processes,
            DemandKind.WORKERS: demands.workers,
            DemandKind.PIPES: demands.pipes,
            DemandKind.SOCKETS: lambda name, pairs, node: demands.sockets(name, pairs, 0, node),
        }
        self._verbs: dict[str, _Kind] = {
            kind: _Kind(verb, 1 if kind.in_pieces else page_size, round(parameters.unit_bytes(kind)))
            for kind, verb in verbs.items()
        }

    def connect(self, core: HotplugCore) -> None:
        """Have the guest's memory belong to the devices of a core; before that, none of it could be returned."""
        self._samples.returnable = Returnable(self.model, core)

    @property
    def died(self) -> bool:
        """Whether the guest is dead: nothing in it changes any more, and nobody answers."""
        return self.model.killer.guest_died

    # Demand ----------------------------------------------------------------------------------------------------------

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        """Set what load ``name`` uses to ``amount`` (bytes, or a count for files, processes, pipes and sockets).

        ``wanted`` is what it would use if it could (None: as much; never less), dead or alive. It runs on ``node`` from
        its first amount on. False for an unknown kind, a negative amount, a node that the machine does not have, a name
        in use for another kind; for a load whose process was killed, which stays dead until its demand is set to 0; and
        always in a dead guest.
        """
        known = self._verbs.get(kind)
        if known is None or amount < 0 or node not in self._memory.nodes:
            return False
        self.model.advance(int(self._env._now))  # noqa: SLF001 - as _catch_up(), without two calls
        verb, unit, size = known
        units = amount // unit
        if units and self._kinds.get(name, kind) != kind:
            return False
        try:
            served = self._use(name, kind, verb, units, node)
        except ValueError:  # what the guest had at boot has the name
            return False
        if units:
            self._kinds[name] = kind
        else:
            self._kinds.pop(name, None)
        self._wishes.wish(name, units if wanted is None else max(amount, wanted) // unit, size)
        self._after_a_change()
        return served

    def _use(self, name: str, kind: str, verb: Callable[[str, int, int], Demand], units: int, node: int) -> bool:
        """Have a load use so many ``units``. False where it is dead, or dies of it. Raises ValueError as the guest."""
        if self.died:
            return False
        if name in self.killed:
            if not units:
                self.killed.discard(name)
            return not units
        load = self.model.loads.get(name)
        current = 0 if load is None else round(load.units)
        change = units - current
        if change > 0:
            outcome = verb(name, change, node)
            if outcome.ooms:
                self.ooms.out_of_memory(outcome.ooms)
                self._note_victims()
        elif change < 0:
            if units == 0:
                if not self.model.demands.kill(name):
                    self.model.demands.remove_files(name)
            else:
                self.model.demands.shrink(name, -change / current)
        self._note_kernel_demand(kind, units, shrunk=change < 0)
        return name not in self.killed and not self.died

    def _catch_up(self) -> None:
        """Tell the model what time it is."""
        self.model.advance(int(self._env.now))

    def _note_kernel_demand(self, kind: str, units: int, *, shrunk: bool) -> None:
        """Note how much kernel memory is asked for that nobody can be killed for, where it may be another amount."""
        if kind != DemandKind.KERNEL and units:
            return
        if shrunk and units:
            # What is freed of a part of a load is rounded in each zone: by half a page at most each time.
            self._rounded += self._most_zones
        asked = self.model.demands.kernel_memory_asked()
        self._kernel_demand.extend((int(self._env.now), max(0, asked - self._rounded)))

    def kernel_need(self, *, memmap: int) -> KernelNeed:
        """Return what is known of it, ``memmap`` being that of a block."""
        demand = np.array(self._kernel_demand, dtype=np.int64).reshape(-1, 2)
        return KernelNeed(self._boot_free, memmap, demand)

    def drop_caches(self, *, cache: bool, slab: bool) -> bool:
        """Drop clean page cache, reclaimable slab, or both, as an administrator does. False in a dead guest."""
        if self.died:
            return False
        self._catch_up()
        self.model.demands.drop_caches(cache=cache, slab=slab)
        self._after_a_change()
        return True

    def mem_available(self) -> int | None:
        """Return MemAvailable in bytes; None from a dead guest."""
        self._catch_up()
        return None if self.died else self.model.meminfo.available() * self._page_size

    def report(self) -> GuestReport | None:
        """Return what an agent in the guest reports; None from a dead guest."""
        self._catch_up()
        if self.died:
            return None
        return self.model.figures.report(self.model.stalls.pressure())

    def seen(self) -> object:
        """Return all of what is reported, but of pressure only how often it has risen."""
        self._catch_up()
        return None if self.died else (self.model.figures.seen(), self.model.stalls.rises())

    def changes_by_itself(self) -> int | None:
        """Return the next microsecond at which figures change with nobody doing anything; None where none does."""
        return None if self.died else self.model.changes_by_itself()

    # What the core tells ---------------------------------------------------------------------------------------------

    def out_of_memory(self, kills: tuple[OomEvent, ...]) -> None:
        """Note who was killed while memory was asked back."""
        self._note_victims()
        self._alarms.set()
        self.sample()
        if self.told is not None:
            self.told()

    def starved(self) -> None:
        """Have somebody else's allocation fail."""
        if not self.died:
            self._catch_up()
            self.ooms.out_of_memory(self.model.starve())
            self._note_victims()
            self._after_a_change()

    def memmap_taken(self) -> None:
        """Look at the guest when it has the least, and does not have yet what the memmap was taken for."""
        if self._samples.returnable is not None:
            self._samples.returnable.recount()
        self.sample()

    def added(self) -> None:
        """Look at the guest again, so that the sample before holds for no time."""
        self.sample()

    def _note_victims(self) -> None:
        # Only new ones: a load that was killed once and has ended since is not killed again.
        ooms = self.model.killer.events[self._noted :]
        self._noted = len(self.model.killer.events)
        for oom in ooms:
            if oom.victim is None:
                self._wishes.look_at_all()
                continue
            self._wishes.look(oom.victim)
            if oom.victim not in self.model.loads:
                self.killed.add(oom.victim)
        if self._pressure is not None:
            self._pressure.look_back(ooms)

    def _after_a_change(self) -> None:
        self._alarms.set()
        self.sample()
        if self._pressure is not None:
            self._pressure.look()
        if self.told is not None:
            self.told()

    def drawn_parameters(self) -> dict[str, float]:
        """Return the guest's parameters that were drawn, by name."""
        return {name: getattr(self.model.parameters, name) for name in self._drawn}

    # Samples ---------------------------------------------------------------------------------------------------------

    def start_sampling(self, end_us: int) -> None:
        """Sample the guest from now on, before all else of this moment, and now and then until the run ends."""
        self._samples.start(period_us(self._sample_us, end_us))

    def series(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return the samples: the columns :data:`sim.record.guest_series.GUEST_COLUMNS`, arrays of one length."""
        return self._samples.series()


def _take_none() -> None:
    """Take no sample."""
