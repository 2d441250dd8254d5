"""The guest's kernel: adds memory, asks the policy, changes blocks' states; user space's rules; the guest's link.

It calls memory, policy, guest and record. It must not know kinds of devices, workloads, files.
"""
