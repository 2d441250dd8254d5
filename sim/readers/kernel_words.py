"""A kernel's command line as ``/proc/cmdline`` has it, its release as ``uname`` prints it, its page as ``getconf``."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Final

from sim.readers.facts import CMDLINE, Facts
from sim.readers.pasted import Places

_WORD: Final = re.compile(r"[^\s=<>{}\[\]|;]+(?:=\S*)?")
_OF_A_KERNEL: Final = re.compile(
    r"(?:BOOT_IMAGE|root|console|init|memhp_default_state|kernelcore|movablecore|mem|swiotlb|hugepages|hugepagesz|crashkernel|cma"
    r"|rootflags|rootfstype|initrd|earlyprintk|panic|reboot|numa|rd\.[a-z.]+|systemd\.[a-z_.]+)=\S*"
    r"|memory_hotplug\.\S+=\S*|memory_hotplug\.memmap_on_memory|movable_node|quiet"
)
LONGEST_CMDLINE: Final = 8192
_BOOT_IMAGE: Final = re.compile(r"^[ \t]*(BOOT_IMAGE=\S.*)$", re.MULTILINE)


def reads_as_cmdline(text: str) -> bool:
    """Whether ``text`` is a kernel's command line, as ``/proc/cmdline`` has it, or holds a line of one."""
    return _cmdline(text) is not None


def read_cmdline(text: str, file: str) -> Facts:
    """Return the command line."""
    line = _cmdline(text) or ""
    where = Places(text).at(text.find(line))
    return Facts(file, CMDLINE, places={"cmdline": where}, cmdline=line)


def _cmdline(text: str) -> str | None:
    lines = [line.strip() for line in text.strip()[: 2 * LONGEST_CMDLINE].split("\n") if line.strip()]
    if len(lines) != 1 or len(lines[0]) > LONGEST_CMDLINE:
        match = _BOOT_IMAGE.search(text)
        return match[1].rstrip() if match and len(match[1]) <= LONGEST_CMDLINE else None
    # Values in quotes may hold anything, and so may what is for init, behind --. The rest are words, one of them ours.
    words = list(takewhile(lambda word: word != "--", re.sub(r'"[^"]*"', "", lines[0]).split()))
    if words and all(_WORD.fullmatch(word) for word in words) and any(_OF_A_KERNEL.fullmatch(word) for word in words):
        return lines[0]
    return None


_MACHINES: Final = r"x86_64|i[3-6]86|aarch64|arm64|armv\w+|s390x?|ppc64(?:le)?|riscv64|loongarch64"
_RELEASE: Final = re.compile(
    r"\s*(?:Linux[ \t]+)?((?:[4-9]\.[0-9]{1,3}\.[0-9]{1,4}|[23]\.[0-9]{1,3}\.[0-9]{1,4}-)[\w.+~-]{0,80})"
    rf"(?:[ \t]+({_MACHINES}))?\s*"
)
_UNAME: Final = re.compile(
    rf"^[ \t]*Linux[ \t]+\S+[ \t]+([2-9]\.[0-9]{{1,3}}[\w.+~-]*)[ \t]+#[0-9].*?[ \t]({_MACHINES})\b",
    re.MULTILINE,
)
_BUILT_FOR: Final = re.compile(rf"[.+-](amd64|powerpc64le|{_MACHINES})(?![a-z0-9])")
_AS_UNAME_SAYS: Final = {"amd64": "x86_64", "arm64": "aarch64", "powerpc64le": "ppc64le"}
_GETCONF: Final = re.compile(r"\bgetconf[ \t]+PAGE_?SIZE[ \t]*\n[ \t]*([0-9]{4,7})[ \t]*(?:\n|$)")


def architecture_of_release(release: str) -> str | None:
    """Return what a kernel is built for, as ``uname -m`` calls it, by the name that distributions give it."""
    match = _BUILT_FOR.search(release)
    return None if match is None else _AS_UNAME_SAYS.get(match[1], match[1])


def reads_as_uname(text: str) -> bool:
    """Whether ``text`` is what ``uname -r``, ``-sr`` or ``-rm`` prints, or holds what ``uname -a`` does."""
    return _RELEASE.fullmatch(text) is not None or _UNAME.search(text) is not None


def read_uname(text: str, file: str) -> Facts:
    """Return the kernel's release, and the architecture if it stands there or in the release's name."""
    match = _UNAME.search(text) or _RELEASE.match(text)
    if match is None:
        return Facts(file, "uname")
    where = Places(text).at(match.start(1))
    architecture = match[2] or architecture_of_release(match[1])
    places = {"kernel": where} if architecture is None else {"kernel": where, "architecture": where}
    return Facts(file, "uname", places=places, kernel=match[1], architecture=architecture)


def reads_as_getconf(text: str) -> bool:
    """Whether ``text`` holds ``getconf PAGESIZE`` and its answer."""
    return _GETCONF.search(text) is not None


def read_getconf(text: str, file: str) -> Facts:
    """Return the size of a page."""
    match = _GETCONF.search(text)
    if match is None:
        return Facts(file, "getconf")
    return Facts(file, "getconf", places={"page_size": Places(text).at(match.start(1))}, page_size=int(match[1]))
