"""The command line of a guest's kernel: what it says of the machine, and of the policy that the kernel goes by.

Read as the kernel reads it, word by word (:mod:`sim.machine.cmdline_words`) and each value as the word's own function
does. Three kinds of words there are: those that are modelled; those that have to do with memory and are not, each told
with what it would do (:mod:`sim.machine.cmdline_effects`); and all others, which are counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.machine import memparse, swiotlb
from sim.machine.architecture import X86_64
from sim.machine.cmdline_effects import not_modelled
from sim.machine.cmdline_words import split
from sim.machine.crashkernel import CrashKernel
from sim.memory.zones import ONLINE_TYPE_BY_WORD
from sim.units import KIB, MEMORY_LIMIT, counted, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.machine.architecture import Architecture
    from sim.machine.cmdline_words import Word

ONLINE_POLICIES: Final = ("contig-zones", "auto-movable")
LONGEST: Final = 64 * KIB
"""Characters; no kernel takes as many, and most take 2048 or 4096."""

_LOG_BUFFER: Final = 128 * KIB
_MEMMAP_FORCE_SINCE: Final = (6, 6)
_NO_FAKE_EFI_SINCE: Final = (6, 11)
_SOFT_RESERVED_TYPE: Final = 0xEFFFFFFF
_SPECIFIC_PURPOSE: Final = 0x40000  # EFI_MEMORY_SP
_HUNDRED: Final = 100
_IGNORED: Final = "the kernel cannot read it and goes on as if it were not there"


class Remark(NamedTuple):
    """What is not as written: the ``word``, and ``what`` becomes of it."""

    word: str
    what: str


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What a command line says.

    ``machine`` holds fields of :class:`sim.machine.spec.MachineSpec`, ``policy`` parameters of the policy ``kernel``;
    ``words`` the word that each of them comes from. ``others`` counts the words that do not matter to memory.
    """

    machine: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    others: int = 0

    def notes(self) -> list[str]:
        """Return the remarks as lines of text, the count of other words last."""
        lines = [f"{remark.word}: {remark.what}" for remark in self.remarks]
        if self.others:
            lines.append(f"{counted(self.others, 'other word')}: no matter to memory here")
        return lines


def read(
    text: str,
    *,
    boot_memory: int | None = None,
    architecture: Architecture = X86_64,
    page_size: int = 4 * KIB,
    series: tuple[int, int] = (6, 1),
) -> CommandLine:
    """Return what the command line ``text`` says to a kernel of ``series`` on a machine of ``boot_memory`` bytes.

    Where boot memory is not known (None), what depends on it (ranges of ``crashkernel=``) is told and left out.
    """
    reader = _Reader(boot_memory, architecture, page_size, series)
    for word in split(text):
        reader.take(word)
    return reader.finish()


class _Reader:
    """Takes the words one after the other; a later word wins over an earlier one, or adds to it, as in the kernel."""

    def __init__(
        self, boot_memory: int | None, architecture: Architecture, page_size: int, series: tuple[int, int]
    ) -> None:
        self._boot_memory = boot_memory
        self._architecture = architecture
        self._page_size = page_size
        self._series = series
        self._machine: dict[str, Any] = {}
        self._policy: dict[str, Any] = {}
        self._words: dict[str, str] = {}
        self._remarks: list[Remark] = []
        self._others = 0
        self._crash = CrashKernel()

    def take(self, word: Word) -> None:
        """Read one word."""
        handler = _HANDLERS.get(word.name)
        if handler is not None:
            what = handler(self, word, word.value or "")
        elif (what := not_modelled(word.name, word.value)) is None:
            self._others += 1
        if what is not None:
            self._remarks.append(Remark(word.text, what))

    def finish(self) -> CommandLine:
        """Return what the words say together."""
        amount, remark = self._crash.reserved(self._room(), self._architecture)
        if self._crash.word:
            if amount:
                self._set("crashkernel", self._crash.word, amount)
            if remark is not None:
                self._remarks.append(Remark(self._crash.word, remark))
        return CommandLine(self._machine, self._policy, self._words, tuple(self._remarks), self._others)

    # Each of the following takes a word and its value, and returns what is to be told of it, or None. ----------------

    def kernelcore(self, word: Word, value: str) -> str | None:
        if word.name == "kernelcore" and "mirror" in value.split(","):
            return "not modelled: kernel memory is what firmware calls mirrored; no machine here has such memory"
        for each in (word.name, f"{word.name}_percent"):
            self._machine.pop(each, None)
        share, rest = memparse.number(value)
        if rest.startswith("%") and rest != value:
            if share > _HUNDRED:
                return "is more than all memory; the kernel makes no ZONE_MOVABLE of it"
            self._set(f"{word.name}_percent", word.text, share)
            return None
        amount, remark = self._size(value)
        if self._boot_memory is not None and amount >= self._boot_memory:
            return "is all boot memory or more: the kernel makes no ZONE_MOVABLE at boot"
        self._set(word.name, word.text, amount // self._page_size * self._page_size)
        return remark

    def cma(self, word: Word, value: str) -> str | None:
        amount, rest = memparse.size(value)
        if rest == value:
            return _IGNORED
        for each in ("cma", "cma_base", "cma_limit"):
            self._machine.pop(each, None)
        base = limit = 0
        if rest.startswith("@"):
            base, rest = memparse.size(rest[1:])
            limit = base + amount
            if rest.startswith("-"):
                limit, rest = memparse.size(rest[1:])
        if self._boot_memory is not None and amount >= self._boot_memory:
            return "is all boot memory or more: the kernel cannot reserve it and has no CMA"
        self._set("cma", word.text, -(-amount // self._page_size) * self._page_size)
        if limit:
            self._set("cma_base", word.text, base)
            self._set("cma_limit", word.text, limit)
        return _left_over(value, rest)

    def mem(self, word: Word, value: str) -> str | None:
        if value == "nopentium":
            return None
        amount, remark = self._size(value)
        if not amount:
            return _IGNORED
        if self._architecture.ram_start:  # there it is an amount, and the last word counts
            self._limit(amount + self._architecture.ram_start, word, last=True)
        else:
            self._limit(amount, word)
        return remark

    def _limit(self, end: int, word: Word, *, last: bool = False) -> None:
        """Use no memory from byte ``end`` on: each such word takes away what lies above, so the lowest counts."""
        end = max(1, end // self._page_size) * self._page_size  # 0 is none
        if end <= MEMORY_LIMIT:
            known = self._machine.get("mem", 0)
            if last or not known or end < known:
                self._set("mem", word.text, end)

    def memmap(self, word: Word, value: str) -> str | None:
        """``parse_memmap_one`` of ``arch/x86/kernel/e820.c``."""
        if not self._architecture.pc_layout:
            return f"kernels of {self._architecture.name} do not know it"
        told = [what for part in value.split(",") if (what := self._memmap_part(word, part)) is not None]
        return "; ".join(told) or None

    def _memmap_part(self, word: Word, part: str) -> str | None:
        if part.startswith("exactmap"):
            return "not modelled: memory is then only what other memmap= words name"
        amount, rest = memparse.size(part)
        if rest == part:
            return _IGNORED
        sign, place = rest[:1], rest[1:]
        start, rest = memparse.size(place)
        if not sign:
            self._limit(amount, word)
        elif sign == "@":
            return "not modelled: adds memory that firmware does not tell of"
        elif sign in {"!", "$", "#"}:
            self._reserve("soft_reserved" if sign == "!" else "reserved", start, amount, word)
            return _left_over(part, rest)
        elif sign == "%":
            return self._retype(word, start, amount, rest)
        else:
            self._limit(amount, word)
            hint = "; a boot loader's file needs the backslash, the kernel does not" if sign == "\\" else ""
            return f"the kernel takes it for memmap={format_size(amount)}, and uses no memory from there on{hint}"
        return None

    def _retype(self, word: Word, start: int, amount: int, rest: str) -> str | None:
        """Give memory of one type (behind ``-``) another one (behind ``+``); without the second it is gone."""
        old = new = 0
        if rest.startswith("-"):
            old, rest = memparse.number(rest[1:])
        if rest.startswith("+"):
            new, rest = memparse.number(rest[1:])
        if rest:
            return _IGNORED
        if old not in {0, 1} or (not old and new):
            return "not modelled: changes memory that is not in use before"
        if new != 1:
            self._reserve("soft_reserved" if new == _SOFT_RESERVED_TYPE else "reserved", start, amount, word)
        return None

    def efi_fake_mem(self, word: Word, value: str) -> str | None:
        """``setup_fake_mem`` of ``drivers/firmware/efi/fake_mem.c``."""
        if self._series >= _NO_FAKE_EFI_SINCE:
            return "kernels from 6.11 on do not know it"
        for part in value.split(","):
            amount, rest = memparse.size(part)
            start, rest = memparse.size(rest[1:]) if rest.startswith("@") else (0, "?")
            attributes, rest = memparse.number(rest[1:]) if rest.startswith(":") else (0, "?")
            if rest or not amount:
                return _IGNORED
            if attributes & _SPECIFIC_PURPOSE:
                self._reserve("soft_reserved", start, amount, word)
        return "needs firmware that is EFI: taken as if it were"

    def _reserve(self, name: str, start: int, amount: int, word: Word) -> None:
        """Keep [start, start + amount) from the kernel, in whole pages."""
        end = -(-(start + amount) // self._page_size) * self._page_size
        start = start // self._page_size * self._page_size
        if start < end:
            self._set(name, word.text, (*self._machine.get(name, ()), (start, end - start)))

    def crashkernel(self, word: Word, value: str) -> str | None:
        return self._crash.take(word.text, value)

    def log_buf_len(self, word: Word, value: str) -> str | None:
        amount, remark = self._size(value)
        if self._boot_memory is not None and amount >= self._boot_memory:
            return "is more than there is: the kernel keeps the buffer that is part of it"
        if amount > max(_LOG_BUFFER, self._machine.get("log_buf_len", 0)):  # shorter than it is changes nothing
            self._set("log_buf_len", word.text, -(-amount // self._page_size) * self._page_size)
        return remark

    def swiotlb(self, word: Word, value: str) -> str | None:
        if swiotlb.parse(value) is None:
            return _IGNORED
        self._set("swiotlb", word.text, value)
        return None

    def movable_node(self, word: Word, _value: str) -> str | None:
        self._set("movable_node", word.text, value=True)
        return None

    def default_state(self, word: Word, value: str) -> str | None:
        """``mhp_online_type_from_str``: a word that is none of these leaves the kernel's own."""
        if value not in ONLINE_TYPE_BY_WORD:
            return f"{_IGNORED}: it is none of {', '.join(ONLINE_TYPE_BY_WORD)}"
        self._of_policy("default_state", value, word)
        return None

    def online_policy(self, word: Word, value: str) -> str | None:
        if value not in ONLINE_POLICIES:
            return f"{_IGNORED}: it is none of {', '.join(ONLINE_POLICIES)}"
        self._of_policy("online_policy", value, word)
        return None

    def ratio(self, word: Word, value: str) -> str | None:
        ratio = memparse.whole(value)
        if ratio is None:
            return _IGNORED
        self._of_policy("auto_movable_ratio", ratio, word)
        return None

    def numa_aware(self, word: Word, _value: str) -> str | None:
        aware = self._boolean(word)
        if aware is None:
            return _IGNORED
        self._of_policy("auto_movable_numa_aware", aware, word)
        return None

    def memmap_on_memory(self, word: Word, value: str) -> str | None:
        if value == "force" and self._series >= _MEMMAP_FORCE_SINCE:
            self._set("memmap_on_memory", word.text, value)
            return None
        wanted = self._boolean(word)
        if wanted is not None:
            self._set("memmap_on_memory", word.text, wanted)
        if value == "force":
            return "kernels before 6.6 do not know force"
        return _IGNORED if wanted is None else None

    def virtio_mem(self, word: Word, value: str) -> str | None:
        name = word.name.replace(".", "_")
        wanted = memparse.whole(value, 64) if name == "virtio_mem_bbm_block_size" else self._boolean(word)
        if wanted is None:
            return _IGNORED
        self._set(name, word.text, wanted)
        return None

    def safe_unplug(self, word: Word, _value: str) -> str | None:
        safe = self._boolean(word)
        if safe is None:
            return _IGNORED
        return None if safe else "not modelled: big blocks are taken offline here as they are by default, in safety"

    # What these share ------------------------------------------------------------------------------------------------

    def _set(self, name: str, word: str, value: object) -> None:
        self._machine[name] = value
        self._words[name] = word

    def _of_policy(self, name: str, value: object, word: Word) -> None:
        self._policy[name] = value
        self._words[name] = word.text

    def _size(self, value: str) -> tuple[int, str | None]:
        """Return the bytes that the kernel takes a value for, and what is to be told where they surprise."""
        amount, rest = memparse.size(value)
        return amount, _left_over(value, rest)

    def _boolean(self, word: Word) -> bool | None:
        return True if word.value is None else memparse.boolean(word.value, self._series)

    def _room(self) -> int | None:
        """Return the bytes that the kernel counts as memory when it reserves the crash kernel."""
        if self._boot_memory is None:
            return None
        gone: int = sum(size for name in ("reserved", "soft_reserved") for _, size in self._machine.get(name, ()))
        end: int = self._machine.get("mem", MEMORY_LIMIT)
        return min(self._boot_memory, end) - gone


def _left_over(value: str, rest: str) -> str | None:
    """Return what is to be told where the kernel does not read all of a ``value``."""
    if not rest:
        return None
    if rest == value:
        return _IGNORED
    read = memparse.size(value)[0]
    hint = "; it knows no fractions" if rest.startswith(".") else ""
    return f"the kernel reads {format_size(read)} and no further than {rest!r}{hint}"


_HANDLERS: Final[dict[str, Callable[[_Reader, Word, str], str | None]]] = {
    "memhp_default_state": _Reader.default_state,
    "memory_hotplug.online_policy": _Reader.online_policy,
    "memory_hotplug.auto_movable_ratio": _Reader.ratio,
    "memory_hotplug.auto_movable_numa_aware": _Reader.numa_aware,
    "memory_hotplug.memmap_on_memory": _Reader.memmap_on_memory,
    "virtio_mem.unplug_online": _Reader.virtio_mem,
    "virtio_mem.force_bbm": _Reader.virtio_mem,
    "virtio_mem.bbm_block_size": _Reader.virtio_mem,
    "virtio_mem.bbm_safe_unplug": _Reader.safe_unplug,
    "movable_node": _Reader.movable_node,
    "kernelcore": _Reader.kernelcore,
    "movablecore": _Reader.kernelcore,
    "cma": _Reader.cma,
    "mem": _Reader.mem,
    "memmap": _Reader.memmap,
    "efi_fake_mem": _Reader.efi_fake_mem,
    "crashkernel": _Reader.crashkernel,
    "log_buf_len": _Reader.log_buf_len,
    "swiotlb": _Reader.swiotlb,
}

MACHINE_FIELDS: Final = (
    "movable_node", "kernelcore", "kernelcore_percent", "movablecore", "movablecore_percent", "cma", "cma_base",
    "cma_limit", "mem", "soft_reserved", "reserved", "crashkernel", "log_buf_len", "swiotlb", "memmap_on_memory",
    "virtio_mem_unplug_online", "virtio_mem_force_bbm", "virtio_mem_bbm_block_size",
)  # fmt: skip
"""Fields of a machine that words of a command line can set."""
