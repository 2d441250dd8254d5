"""Planted fault: it takes back a device that nobody plugged, and plugs a DIMM without saying so before."""

from memhp_sim import GIB, DimmSpec, Workload


class Planted(Workload):
    name = "stranger"
    summary = "one DIMM comes, another one goes"

    def duration(self):
        return 60.0

    def run(self, host, streams):
        host.plug(DimmSpec("dimm0", GIB, node=0))
        yield host.env.timeout(30_000_000)
        host.unplug("dimm1")
