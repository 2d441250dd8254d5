"""Planted fault: the last step goes beyond the device."""

from memhp_sim import GIB, VirtioMemSpec, Workload


class Planted(Workload):
    name = "beyond-device"
    summary = "3 GiB more each minute"

    def duration(self):
        return 240.0

    def run(self, host, streams):
        host.plug(VirtioMemSpec("vmem0", 8 * GIB))
        for step in range(4):
            host.resize("vmem0", 3 * step * GIB)
            yield host.env.timeout(60_000_000)
