"""Classes of service for caches and memory bandwidth: the kernel's resctrl file system (linux.intelRdt).

mounted   where it is
schemata  its lines, compared
group     a container's directory in it: made, joined, removed
"""
