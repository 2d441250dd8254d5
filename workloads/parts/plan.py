"""Plans: what a workload wants and when, laid down without looking at the guest, and how a plan is put to the host.

A plan is drawn from the workload's streams alone. That makes the traffic the same for every policy by construction:
whatever a guest refuses or is slow to do can neither shift a draw nor move a later request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    import simpy

    from sim.devices.specs import DeviceSpec
    from workloads.contract import Host

    Ask = tuple[str, DeviceSpec | int | None]
    """A device's id and what is wanted of it: plugged (its description), resized (bytes), or gone (None)."""

    Step = tuple[int, Sequence[Ask]]
    """Microseconds to wait after the step before, then what is asked, all at the same moment."""

NOTHING: Final[Sequence[Ask]] = ()
"""What is asked in a step that only waits."""


def follow(  # noqa: C901, PLR0912  a call for each request would cost a tenth of an event
    host: Host,
    plan: Iterable[Step],
    duration_us: int,
    *,
    ask_again: bool = False,
    wait_for_guest: bool = False,
) -> Generator[simpy.Event, object, None]:
    """Put ``plan`` to ``host`` until it ends or ``duration_us`` have passed (a step at that very moment is still made).

    Three things cannot be asked, and are left out without moving what follows:

    * a device that the guest did not give back cannot be plugged again: it is kept in the place of the new one;
    * a device that is not there (refused by the host, say) cannot be asked back;
    * with ``wait_for_guest``, a device that the guest is still working on is not given a new size.

    With ``ask_again``, each step also repeats one request for a device that should be gone and is neither gone nor
    being worked on; the device asked longest ago comes first.
    """
    timeout, present, plug, unplug, resize = host.env.timeout, host.present, host.plug, host.unplug, host.resize
    now = 0
    unwanted: dict[str, None] = {}
    for wait, asks in plan:
        now += wait
        if now > duration_us:
            return
        if wait:
            yield timeout(wait)
        if unwanted:
            _repeat(host, unwanted)
        for device, want in asks:
            if want is None:
                if present(device):
                    unplug(device)
                    if ask_again:
                        unwanted[device] = None
            elif isinstance(want, int):
                if not (wait_for_guest and host.busy(device)):
                    resize(device, want)
            else:
                if unwanted:
                    unwanted.pop(device, None)
                if not present(device):
                    plug(want)
                else:
                    host.keep(device)


def _repeat(host: Host, unwanted: dict[str, None]) -> None:
    """Ask once more for the first of the ``unwanted`` devices that is there and idle; forget those that are gone."""
    for device in list(unwanted):
        if not host.present(device):
            del unwanted[device]
        elif not host.busy(device):
            # To the end of the line, so that one stubborn device does not keep the others from being asked.
            del unwanted[device]
            unwanted[device] = None
            host.unplug(device)
            return
