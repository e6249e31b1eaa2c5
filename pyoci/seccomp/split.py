"""One filter with SCMP_ACT_NOTIFY -> two that together say the same: what is notified, and all the rest.

The listener's descriptor exists from the moment its filter is installed, and must reach the agent before `create`
returns; but a whole profile may forbid what it takes to wait for `start`.  So the notifying half goes in early and
the other half right before execve (docs/adr/0007).  Of several filters' answers the kernel takes the strictest,
and for every call at most one of the two halves says anything but "allow": the pair is exact, whatever the rules.
"""

from _struct import iter_unpack, pack

from pyoci.errors import HostError
from pyoci.seccomp import Filter
from pyoci.tables.seccomp import ACTIONS, FLAG_NEW_LISTENER, FLAGS

_RETURN_CONSTANT = 0x06  # BPF_RET | BPF_K
_RETURN_CLASS = 0x07  # of an instruction, its lowest three bits: 6 is BPF_RET
_ACTION_MASK = 0xFFFF0000  # SECCOMP_RET_ACTION_FULL
_WAIT_KILLABLE_RECV = FLAGS["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]


def split(whole: Filter) -> tuple[Filter, Filter]:
    """(the half to install with a listener, the half for the last moment)."""
    notify, allow = ACTIONS["SCMP_ACT_NOTIFY"], ACTIONS["SCMP_ACT_ALLOW"]
    listening = rest = b""
    for code, if_true, if_false, constant in iter_unpack("=HBBI", whole.bpf):
        ours = theirs = constant
        if code & _RETURN_CLASS == _RETURN_CONSTANT:
            if code != _RETURN_CONSTANT:
                raise HostError(
                    "seccomp filter with SCMP_ACT_NOTIFY: function not implemented",
                    where=".linux.seccomp",
                    cause="this libseccomp makes filters that compute what they return",
                )
            if constant & _ACTION_MASK == notify:
                theirs = allow
            else:
                ours = allow
        listening += pack("=HBBI", code, if_true, if_false, ours)
        rest += pack("=HBBI", code, if_true, if_false, theirs)
    return (
        Filter(listening, whole.flags | FLAG_NEW_LISTENER, notify=True),
        Filter(rest, whole.flags & ~_WAIT_KILLABLE_RECV, notify=False),
    )
