"""QEMU's ``info memory-devices`` and ``query-memory-devices``: the same devices from either."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from sim.faults import InputError
from sim.readers.qemu_devices import read_memory_devices, reads_as_memory_devices
from sim.units import GIB, MIB

DEVICES: Final[list[dict[str, Any]]] = [
    {
        "type": "dimm",
        "data": {
            "addr": 0x140000000,
            "hotplugged": True,
            "hotpluggable": True,
            "id": "dimm0",
            "memdev": "/objects/mem1",
            "node": 1,
            "size": GIB,
            "slot": 0,
        },
    },
    {
        "type": "virtio-mem",
        "data": {
            "block-size": 2 * MIB,
            "id": "vm0",
            "max-size": 8 * GIB,
            "memaddr": 0x180000000,
            "memdev": "/objects/vmem0",
            "node": 0,
            "requested-size": GIB,
            "size": GIB // 2,
        },
    },
    {"type": "hv-balloon", "data": {"max-size": GIB, "memaddr": 0x380000000}},
]

FOR_PEOPLE: Final = """QEMU 9.2.0 monitor - type 'help' for more information
(qemu) info memory-devices
Memory device [dimm]: "dimm0"
  addr: 0x140000000
  slot: 0
  node: 1
  size: 1073741824
  memdev: /objects/mem1
  hotplugged: true
  hotpluggable: true
Memory device [virtio-mem]: "vm0"
  memaddr: 0x180000000
  node: 0
  requested-size: 1073741824
  size: 536870912
  max-size: 8589934592
  block-size: 2097152
  memdev: /objects/vmem0
Memory device [hv-balloon]: ""
  memaddr: 0x380000000
  max-size: 1073741824
(qemu) info memory_size_summary
base memory: 4294967296
plugged memory: 1610612736
"""

ANSWERS: Final[tuple[dict[str, Any], ...]] = (
    {"QMP": {"version": {}, "capabilities": ["oob"]}},
    {"return": {}},
    {"return": DEVICES, "id": 1},
    {"return": {"base-memory": 4 * GIB, "plugged-memory": 3 * GIB // 2}},
)
TRANSCRIPT: Final = "\n".join(json.dumps(answer, indent=1) for answer in ANSWERS)


@pytest.mark.parametrize(
    ("text", "boot_memory"),
    [
        (FOR_PEOPLE, 4 * GIB),
        (FOR_PEOPLE.replace("\n", "\r\n"), 4 * GIB),
        (json.dumps(DEVICES), None),
        (json.dumps({"return": DEVICES}), None),
        (TRANSCRIPT, 4 * GIB),
    ],
    ids=["text", "text of Windows", "list", "answer", "transcript"],
)
def test_text_and_json_say_the_same(text: str, boot_memory: int | None) -> None:
    assert reads_as_memory_devices(text)
    facts = read_memory_devices(text, "x")
    dimm, virtio, balloon = facts.devices
    assert (dimm.id, dimm.kind, dimm.size, dimm.node) == ("dimm0", "dimm", GIB, 1)
    assert (dimm.address, dimm.slot) == (0x140000000, 0)
    assert (virtio.id, virtio.kind, virtio.size, virtio.node) == ("vm0", "virtio-mem", 8 * GIB, 0)
    assert (virtio.address, virtio.block_size) == (0x180000000, 2 * MIB)
    assert (virtio.requested, virtio.plugged) == (GIB, GIB // 2)
    assert (balloon.id, balloon.kind, balloon.size) == ("hv-balloon2", "hv-balloon", GIB)
    assert facts.boot_memory == boot_memory
    assert all(device.where for device in facts.devices)


def test_an_empty_answer_says_that_there_are_no_devices() -> None:
    assert read_memory_devices('{"return": []}', "x").devices == ()
    assert reads_as_memory_devices('{"return": [], "id": "libvirt-12"}'), "a machine without any"
    assert not reads_as_memory_devices('{"return": [1]}')


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ('{"return": [', "line 1", "is no JSON"),
        ('{"a": "memdev"}', "", "holds no memory devices"),
        ("[" * 100_000, "line 1", "nested too deep"),
        ('[{"type": "dimm", "data": {"size": ' + "9" * 5000 + "}}]", "line 1", "too long"),
        ('[{"type": "dimm", "data": {"id": "d", "size": 1.5}}]', "[0]", "size: '1.5' is not a whole number"),
        ('Memory device [dimm]: "d"\n  addr: 0x0\n', "line 1", "the 'dimm' has no size"),
        ('Memory device [dimm]: "d"\n  size: many\n', "line 1", "size: 'many' is not a whole number"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, where: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        read_memory_devices(text, "x")
    assert caught.value.faults[0].key == where
    assert what in caught.value.faults[0].what


def test_an_answer_that_kata_logged_is_read_the_last_of_several() -> None:
    dimm = (
        r"{\"type\": \"dimm\", \"data\": {\"memdev\": \"/objects/mem1\", \"hotplugged\": true, \"addr\": 4294967296, "
    )
    dimm += r"\"hotpluggable\": true, \"size\": 1073741824, \"slot\": 1, \"node\": 0, \"id\": \"dimmmem1\"}}"
    line = 'time="2019-03-29T18:11:02Z" level=info msg="{}" arch=amd64 subsystem=qmp\n'
    text = line.replace("{}", r"{\"return\": []}") + line.replace("{}", rf"{{\"return\": [{dimm}]}}")
    assert reads_as_memory_devices(text)
    (device,) = read_memory_devices(text, "kata.log").devices
    assert device[:5] == ("dimmmem1", "dimm", 1 << 30, 0, 1 << 32)
    assert not reads_as_memory_devices(line.replace("{}", r"{\"return\": {}}"))
    with pytest.raises(InputError):
        read_memory_devices(text.replace("]}", ""), "kata.log")
