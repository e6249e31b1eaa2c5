"""The channel between the runtime and its children: packets, descriptors, and what is left when one side ends."""

import os

from pyoci.init.channel import CGROUP, CLOSED, FAILED, READY, channel_pair


def test_a_message_carries_a_name_a_payload_and_descriptors() -> None:
    ours, theirs = channel_pair()
    with open("/dev/null") as file:
        ours.send(CGROUP, {"controllers": ["a", "b"]}, [file.fileno()])
        name, payload, fds = theirs.receive()
        assert (name, payload) == (CGROUP, {"controllers": ["a", "b"]})
        assert [os.path.sameopenfile(fd, file.fileno()) for fd in fds] == [True]
        assert [os.get_inheritable(fd) for fd in fds] == [False]
    for fd in fds:
        os.close(fd)
    ours.close()
    assert theirs.receive() == (CLOSED, {}, [])
    theirs.close()


def test_the_last_words_arrive_although_something_was_left_unread() -> None:
    """The kernel reports ECONNRESET first when a side ends with unread packets."""
    ours, theirs = channel_pair()
    ours.send(CGROUP, {"controllers": []})
    theirs.send(FAILED, {"message": "why"})
    theirs.send(READY)
    theirs.close()
    assert ours.receive() == (FAILED, {"message": "why"}, [])
    assert ours.receive() == (READY, {}, [])
    assert ours.receive() == (CLOSED, {}, [])
    ours.close()
