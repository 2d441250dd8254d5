"""libvirt's domain XML: what is taken from it, what is said of the rest, and what hostile files come to."""

from __future__ import annotations

import pytest

from sim.faults import InputError
from sim.readers.facts import NodeFacts
from sim.readers.libvirt_xml import read_libvirt, reads_as_libvirt
from sim.units import GIB, KIB, MIB

RUNNING = """<domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>guest</name>
  <maxMemory slots='16' unit='KiB'>67108864</maxMemory>
  <memory unit='KiB'>14680064</memory>
  <currentMemory unit='KiB'>7340032</currentMemory>
  <vcpu placement='static'>4</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-9.2'>hvm</type>
    <kernel>/boot/vmlinuz</kernel>
    <cmdline>memhp_default_state=online
      movable_node</cmdline>
  </os>
  <cpu mode='host-passthrough'>
    <numa>
      <cell id='0' cpus='0-3' memory='4194304' unit='KiB' memAccess='shared'/>
      <cell id='1' memory='1048576' unit='KiB'/>
    </numa>
  </cpu>
  <devices>
    <memory model='virtio-mem'>
      <source><pagesize unit='KiB'>2048</pagesize></source>
      <target>
        <size unit='KiB'>8388608</size><node>0</node><block unit='KiB'>2048</block>
        <requested unit='KiB'>2097152</requested><current unit='KiB'>1048576</current>
        <address base='0x180000000'/>
      </target>
      <alias name='ua-vm0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>
    </memory>
    <memory model='dimm'>
      <target><size unit='KiB'>1048576</size><node>1</node></target>
      <alias name='dimm3'/>
      <address type='dimm' slot='3' base='0x140000000'/>
    </memory>
  </devices>
  <qemu:commandline><qemu:arg value='-device'/></qemu:commandline>
</domain>
"""


def _domain(inside: str, kind: str = "kvm") -> str:
    return f"<domain type='{kind}'>{inside}</domain>"


def test_of_a_running_domain_everything_that_matters_to_memory_is_taken() -> None:
    facts = read_libvirt(RUNNING, "guest.xml")
    assert (facts.boot_memory, facts.max_memory, facts.slots) == (5 * GIB, 64 * GIB, 16)
    assert facts.nodes == (NodeFacts(0, cpus=True, boot_memory=4 * GIB), NodeFacts(1, cpus=False, boot_memory=GIB))
    assert (facts.architecture, facts.cmdline) == ("x86_64", "memhp_default_state=online movable_node")
    assert (facts.bare_metal, facts.machine_type) == (False, "pc-q35-9.2")
    virtio, dimm = facts.devices
    assert (virtio.id, virtio.kind, virtio.size, virtio.node) == ("ua-vm0", "virtio-mem", 8 * GIB, 0)
    assert (virtio.block_size, virtio.requested, virtio.plugged) == (2 * MIB, 2 * GIB, GIB)
    assert (virtio.address, virtio.slot) == (0x180000000, None)  # the slot of its PCI address is another thing
    assert (dimm.id, dimm.size, dimm.node, dimm.slot, dimm.address) == ("dimm3", GIB, 1, 3, 0x140000000)
    assert facts.places["max_memory"] == "/domain/maxMemory"
    assert virtio.where == "/domain/devices/memory[1]"


def test_what_is_not_taken_is_said() -> None:
    said = {remark.where: remark.what for remark in read_libvirt(RUNNING, "guest.xml").remarks}
    assert set(said) == {"/domain/devices/memory[1]/source/pagesize", "/domain/qemu:commandline"}


def test_memory_counts_devices_too() -> None:
    # virDomainDefGetMemoryInitial: what is left of <memory> when the devices are taken off, their regions in full.
    device = "<memory model='virtio-mem'><target><size unit='GiB'>4</size><current>0</current></target></memory>"
    facts = read_libvirt(_domain(f"<memory unit='GiB'>6</memory><devices>{device}</devices>"), "x")
    assert facts.boot_memory == 2 * GIB
    with pytest.raises(InputError, match=r"4GiB leave no boot memory beside memory devices of 4GiB"):
        read_libvirt(_domain(f"<memory unit='GiB'>4</memory><devices>{device}</devices>"), "x")


def test_cells_go_before_memory_and_a_sum_that_does_not_come_out_is_said() -> None:
    cell = "<cpu><numa><cell id='0' cpus='0' memory='1' unit='GiB'/></numa></cpu>"
    facts = read_libvirt(_domain(f"<memory unit='GiB'>2</memory>{cell}"), "x")
    assert facts.boot_memory == GIB
    assert [remark.where for remark in facts.remarks] == ["/domain/memory"]
    agreeing = read_libvirt(_domain(f"<memory unit='GiB'>1</memory>{cell}"), "x")
    assert (agreeing.boot_memory, agreeing.remarks) == (GIB, [])
    assert read_libvirt(_domain(cell), "x").boot_memory == GIB  # with NUMA cells <memory> may be left out


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("", KIB),
        (" unit='b'", 1),
        (" unit='bytes'", 1),
        (" unit='KB'", 1000),
        (" unit='k'", KIB),
        (" unit='KiB'", KIB),
        (" unit='MB'", 10**6),
        (" unit='M'", MIB),
        (" unit='MiB'", MIB),
        (" unit='GB'", 10**9),
        (" unit='g'", GIB),
        (" unit='GiB'", GIB),
        (" unit='TB'", 10**12),
        (" unit='T'", 1024 * GIB),
    ],
)
def test_units_are_libvirts_with_kib_where_none_stands_and_sizes_are_rounded_up_to_mib(unit: str, scale: int) -> None:
    facts = read_libvirt(_domain(f"<memory{unit}> 1000001 </memory>"), "x")
    assert facts.boot_memory == -(-1_000_001 * scale // MIB) * MIB


def test_what_is_rounded_up_is_said() -> None:
    cells = "<cpu><numa><cell id='0' memory='1000' unit='MB'/><cell id='1' memory='512' unit='MiB'/></numa></cpu>"
    devices = (
        "<devices><memory model='dimm'><target><size unit='KiB'>523264</size></target></memory>"
        "<memory model='virtio-mem'><target><size unit='MiB'>512</size></target></memory></devices>"
    )
    facts = read_libvirt(_domain(f"<maxMemory slots='2' unit='KiB'>4194305</maxMemory>{cells}{devices}"), "x")
    assert [node.boot_memory for node in facts.nodes] == [954 * MIB, 512 * MIB]
    assert (facts.boot_memory, facts.max_memory) == (1466 * MIB, 4097 * MIB)
    assert [device.size for device in facts.devices] == [512 * MIB, 512 * MIB]
    assert [remark.where for remark in facts.remarks] == [
        "/domain/cpu/numa/cell 0",
        "/domain/maxMemory",
        "/domain/devices/memory[1]",
    ]
    assert facts.remarks[2].what == "libvirt starts 511MiB as 512MiB, a multiple of 2MiB"


def test_virtual_cpus_that_no_cell_lists_are_the_first_cells() -> None:
    cells = "<cpu><numa><cell id='0' memory='1048576'/><cell id='1' cpus='0-1' memory='1048576'/></numa></cpu>"
    assert [node.cpus for node in read_libvirt(_domain(f"<vcpu>2</vcpu>{cells}"), "x").nodes] == [False, True]
    assert [node.cpus for node in read_libvirt(_domain(f"<vcpu>4</vcpu>{cells}"), "x").nodes] == [True, True]


@pytest.mark.parametrize(
    "wrapped",
    ["<domainsnapshot><name>s</name>{}</domainsnapshot>", "<domstatus state='running'>{}</domstatus>", "\ufeff{}"],
)
def test_a_domain_is_found_in_snapshots_and_in_libvirtds_status(wrapped: str) -> None:
    text = wrapped.format(_domain("<memory unit='GiB'>1</memory>"))
    assert reads_as_libvirt(text)
    assert read_libvirt(text, "x").boot_memory == GIB


def test_names_are_those_that_libvirt_gives_where_none_stand() -> None:
    device = "<memory model='{}'><target><size unit='GiB'>1</size></target>{}</memory>"
    slot = "<address type='dimm' slot='5'/>"
    devices = "".join((device.format("virtio-mem", ""), device.format("virtio-mem", ""), device.format("dimm", slot)))
    facts = read_libvirt(_domain(f"<memory unit='GiB'>9</memory><devices>{devices}</devices>"), "x")
    assert [each.id for each in facts.devices] == ["virtiomem0", "virtiomem1", "dimm5"]


def test_a_balloon_that_holds_memory_back_is_said() -> None:
    facts = read_libvirt(_domain("<memory unit='GiB'>4</memory><currentMemory unit='GiB'>3</currentMemory>"), "x")
    assert [(remark.where, "keeps 1GiB" in remark.what) for remark in facts.remarks] == [
        ("/domain/currentMemory", True)
    ]


def test_persistent_memory_is_nothing_that_a_balloon_holds() -> None:
    device = "<memory model='nvdimm'><target><size unit='GiB'>2</size></target></memory>"
    text = f"<memory unit='GiB'>6</memory><currentMemory unit='GiB'>4</currentMemory><devices>{device}</devices>"
    assert read_libvirt(_domain(text), "x").remarks == []


def test_all_faults_are_told_at_once_each_with_its_place() -> None:
    device = "<memory model='dimm'><target><size unit='GiB'>a lot</size><node>one</node></target></memory>"
    with pytest.raises(InputError) as caught:
        read_libvirt(_domain(f"<memory unit='furlong'>4</memory><devices>{device}</devices>"), "guest.xml")
    assert [fault.key for fault in caught.value.faults] == [
        "/domain/devices/memory/target/size",
        "/domain/devices/memory/target/node",
        "/domain/memory",
    ]
    assert caught.value.source == "guest.xml"


BOMB = """<?xml version="1.0"?>
<!DOCTYPE domain [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;">]>
<domain type='kvm'><name>&c;</name><memory>1</memory></domain>"""


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (BOMB, "line 2", "declares the document type 'domain'"),
        (
            "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain><memory>1</memory></domain>",
            "line 1",
            "declares the document type",
        ),
        ("<domain>&undeclared;</domain>", "line 1", "undefined entity"),
        ("<domain>" + "<a>" * 100_000, "line 1", "nested more than 64 deep"),
        ("<domain>\n<memory>", "line 2", "no element found"),
        ("<domain>\ud800\0</domain>", "line 1", "not well-formed"),
        ("<domain>\n</domain>\n<domain/>", "line 3", "a second document begins here"),
        ("<domainCapabilities><domain>kvm</domain></domainCapabilities>", "/domainCapabilities", "no libvirt domain"),
        ("", "line 1", "no element found"),
        ("<html><body/></html>", "/html", "is no libvirt domain"),
        ("<domain/>", "/domain/memory", "is missing"),
        ("<domain><memory>" + "9" * 5000 + "</memory></domain>", "/domain/memory", "is not a whole number"),
        ("<domain type='lxc'><memory>1024</memory></domain>", "/domain", "is a container"),
    ],
)
def test_what_is_hostile_broken_or_something_else_is_answered_in_one_line(text: str, where: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        read_libvirt(text, "x.xml")
    (fault,) = caught.value.faults
    assert fault.key == where
    assert what in fault.what
    assert "\n" not in str(caught.value)
