"""What an experiment file can name and where that comes from: guests, times of hosts, loads, shipped policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class NamedSource(NamedTuple):
    """A ``name`` that the ``key`` of an experiment file may have, what it is, and the ``source`` of its figures."""

    key: str
    name: str
    summary: str
    source: str


def named_sources() -> list[NamedSource]:
    """Return all that there are, by key."""
    from policies.as_shipped import SHIPPED
    from sim.guest import PRESETS
    from sim.kernel.timing import PROFILES
    from workloads.parts.mixes import MIXES

    return [
        NamedSource(key, name, entry.summary, entry.source)
        for key, named in (
            ("guest.preset", PRESETS),
            ("timing.profile", PROFILES),
            ("workloads.kind", MIXES),
            ("policies.by", SHIPPED),
        )
        for name, entry in named.items()
    ]


def sources_used(config: Mapping[str, Any]) -> list[NamedSource]:
    """Return those that an effective configuration names, in its own tables or as a value that it sweeps."""
    used = {
        (section, *pair)
        for section in ("guest", "timing", "workloads", "policies")
        for part in (section, "sweep")
        for pair in _texts(config.get(part))
    }
    return [each for each in named_sources() if (*each.key.split("."), each.name) in used]


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  whatever TOML holds
    """Yield every text below ``value`` with the key that it stands at."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inside in value.items():
            yield from _texts(inside, name)
    elif isinstance(value, (list, tuple)):
        for inside in value:
            yield from _texts(inside, key)
