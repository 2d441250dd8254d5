"""A workload that is listened to: everything that it asks of its host, written down as a log of requests."""

from __future__ import annotations

from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING

import simpy
from simpy.events import EventPriority

from sim.devices.specs import DAX_STATES, ONLINE_WORDS
from sim.units import seconds_to_us
from workloads.parts.demand import DROP_CACHE, DROP_SLAB
from workloads.parts.requests.request import Request
from workloads.parts.together import PartHost
from workloads.parts.wrapping import Wrapping

if TYPE_CHECKING:
    from collections.abc import Container, Generator, Iterable

    from sim.devices.specs import DeviceSpec
    from workloads.contract import Host, Streams, Workload


class Recorded(Wrapping):
    """Runs ``workload`` and keeps all its requests, parts of a composition and looking controllers among them.

    ``attached`` are the devices that the machine has before. One run is recorded; a copy records its own.
    """

    ends_run = True

    def __init__(self, workload: Workload, attached: Iterable[DeviceSpec] = ()) -> None:
        super().__init__(workload)
        self._requests = [Request(0, "attached", spec.id, spec=spec) for spec in attached]
        self._stop: Request | None = None

    @property
    def log(self) -> list[Request]:
        """All rows of the log once the run is over: devices that were there, requests, and how the run ended."""
        end_us = seconds_to_us(self.duration())
        stop = [] if self._stop is None else [self._stop]
        return [*self._requests, *stop, Request(end_us, "end", "")]

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Have the workload run on a host that listens."""
        listening = RecordingHost(host, self._requests)
        yield from self.inside.run(listening, streams)
        if self.inside.ends_run:
            self._stop = listening.moment("stop")
        else:
            yield host.env.timeout(seconds_to_us(self.duration()) - int(host.env.now))  # by itself it ends nothing


class RecordingHost(PartHost):
    """Passes on what ``host`` is asked, and adds each request to ``requests`` with what came of it."""

    def __init__(self, host: Host, requests: list[Request]) -> None:
        super().__init__(host, "")
        self._requests = requests
        self._now = self._turn = 0
        self._turn_is_over = True

    def moment(self, op: str, device: str = "") -> Request:
        """Return a request of now, which says nothing yet of what is asked."""
        env = self.env
        now = int(env.now)
        if now != self._now:
            self._now, self._turn = now, 0
        if self._turn_is_over:
            # The guest goes on, with what it does at this microsecond, as soon as the event that asks is over.
            over = simpy.Event(env)
            over._ok, over._value = True, None  # noqa: SLF001 - as SimPy's own Timeout does
            over.callbacks.append(self._end_turn)
            env.schedule(over, EventPriority(-1))
            self._turn_is_over = False
        return Request(now, op, device, turn=self._turn)

    def _end_turn(self, _event: object) -> None:
        self._turn_is_over = True
        self._turn += 1

    def _note(self, request: Request, *, answer: bool) -> bool:
        self._requests.append(request if answer else replace(request, refused=True))
        return answer

    def _note_word(self, op: str, device: str, word: str, words: Container[str], *, answer: bool) -> bool:
        request = replace(self.moment(op, device), state=word)
        self._note(request, answer=answer and word in words)  # the guest refuses other words, later
        return answer

    def plug(self, spec: DeviceSpec) -> bool:
        """Plug a device, or attach a virtio-mem device."""
        return self._note(replace(self.moment("plug", spec.id), spec=spec), answer=super().plug(spec))

    def unplug(self, device: str) -> bool:
        """Ask for the removal of a DIMM or dax device."""
        return self._note(self.moment("unplug", device), answer=super().unplug(device))

    def keep(self, device: str) -> bool:
        """Want a DIMM or dax device again that was asked back in vain."""
        return self._note(self.moment("keep", device), answer=super().keep(device))

    def set_dax_state(self, device: str, word: str) -> bool:
        """Have user space write a word to the ``state`` of a dax device."""
        return self._note_word("state", device, word, DAX_STATES, answer=super().set_dax_state(device, word))

    def online_memory(self, device: str, word: str) -> bool:
        """Have user space put the offline blocks of a dax device online."""
        return self._note_word("online", device, word, ONLINE_WORDS, answer=super().online_memory(device, word))

    def unbind(self, device: str) -> bool:
        """Have user space unbind a dax device from kmem."""
        return self._note(self.moment("unbind", device), answer=super().unbind(device))

    def bind(self, device: str) -> bool:
        """Have user space bind a dax device to kmem again."""
        return self._note(self.moment("bind", device), answer=super().bind(device))

    def resize(self, device: str, requested: int) -> bool:
        """Set a virtio-mem device's requested size in bytes."""
        request = replace(self.moment("resize", device), size=index(requested))
        return self._note(request, answer=super().resize(device, requested))

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        """Set what a load of the guest uses, and what it would use if it could."""
        request = replace(self.moment("demand", name), kind=str(kind), size=int(amount), node=node)
        request = request if wanted is None else replace(request, wanted=int(wanted))
        return self._note(request, answer=super().set_demand(name, kind, amount, wanted=wanted, node=node))

    def drop_caches(self, *, cache: bool = True, slab: bool = True) -> bool:
        """Have the guest drop its caches."""
        request = replace(self.moment("drop-caches"), state=str(DROP_CACHE * cache + DROP_SLAB * slab))
        return self._note(request, answer=super().drop_caches(cache=cache, slab=slab))
