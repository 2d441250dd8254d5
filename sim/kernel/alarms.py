"""Wakes a guest when something happens in it with nobody doing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simpy.events import URGENT, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    import simpy

    from sim.guest import GuestModel


class Alarms:
    """Dirty pages of ``model`` reach the disk and files that are read again come back, at the times of ``env``.

    ``changed`` is called after each. Whoever changes anything else in the guest calls :meth:`set`.
    """

    def __init__(self, env: simpy.Environment, model: GuestModel, changed: Callable[[], None]) -> None:
        self._env = env
        self._model = model
        self._changed = changed
        self._write_back_awaited = False
        self._read_back_us = -1
        """The microsecond of the last timer for what is read back."""
        # A function of its own: who copies the guest to try things out does not copy the clock with it.
        model.read_back.told = lambda: self._await_read_back()  # noqa: PLW0108

    def set(self) -> None:
        """Look at the guest again when the dirty pages that it has now reach the disk, and when files are read."""
        model = self._model
        if model.killer.guest_died:
            return
        if model.stalls.lost:
            model.read_back.look()
        due = model.write_back.due_us
        if due is not None and not self._write_back_awaited:
            self._write_back_awaited = True
            Timeout(self._env, due - int(self._env.now)).callbacks.append(self._write_back)

    def _write_back(self, _event: object) -> None:
        self._write_back_awaited = False
        if not self._model.killer.guest_died:
            self._model.advance(int(self._env.now))
            self._changed()

    def _await_read_back(self) -> None:
        due = self._model.read_back.due_us
        if due is not None and due != self._read_back_us:
            self._read_back_us = due
            # Before all else of its microsecond, so that all who do or see something then find it done.
            tick = self._env.event()
            tick.callbacks.append(self._read_back)
            tick._ok, tick._value = True, None  # noqa: SLF001  as SimPy's own Timeout does
            self._env.schedule(tick, URGENT, due - int(self._env.now))

    def _read_back(self, _event: object) -> None:
        model = self._model
        if model.killer.guest_died:
            return
        model.advance(int(self._env.now))
        if model.read_back.tick():
            self._changed()
        self._await_read_back()
