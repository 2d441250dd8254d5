"""A guest of which every verb is held to what is promised of the count of its changes."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from sim.guest.meminfo import Sums
from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.guest import GuestModel


def watched(model: GuestModel) -> GuestModel:
    """Return the guest, every public method of which fails where it changes what can be read and does not count it."""
    for part in (model, model.at_once, model.demands, model.read_back):
        for name, method in vars(type(part)).items():
            if not name.startswith("_") and callable(method):
                setattr(part, name, _watched(model, getattr(part, name)))
    return model


def _watched(model: GuestModel, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def verb(*args: Any, **more: Any) -> Any:  # noqa: ANN401
        before = model.changes.count, readable(model)
        answer = method(*args, **more)
        after = model.changes.count, readable(model)
        assert before[0] < after[0] or before == after, f"{method.__name__} changed something and did not count it"
        assert model.meminfo.sums() == asked_one_by_one(model), (
            f"what zones come to is not known after {method.__name__}"
        )
        return answer

    return verb


def readable(model: GuestModel) -> object:
    """Return all that can be read of a guest."""
    loads = [
        (load.name, load.kind, load.units, load.dirty, dict(load.user), dict(load.kernel), dict(load.slab),
         dict(load.orphans)) for load in model.loads.values()
    ]  # fmt: skip
    return model.killer.guest_died, model.meminfo.uses(), asked_one_by_one(model), model.figures.counted(), loads


def asked_one_by_one(model: GuestModel) -> Sums:
    """Return what ``sums`` of its meminfo has to be."""
    meminfo, zones = model.meminfo, model.zones.values()
    return Sums(
        headroom=meminfo.kernel_headroom(),
        headroom_free=meminfo.kernel_headroom_free(),
        free_movable=sum(zone.free for zone in zones if zone.type == ZONE_MOVABLE),
        available=meminfo.available(),
        managed=sum(zone.managed for zone in zones),
        user=sum(zone.user for zone in zones),
        kernel=sum(zone.kernel for zone in zones),
        memmap=sum(zone.memmap for zone in zones),
        room_for_user=meminfo.room_for_user_pages(),
    )
