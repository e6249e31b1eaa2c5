"""The tests' own record of ended children (tests/integration/runtime.py)."""

import subprocess

from tests.integration.runtime import Children


def test_a_number_that_is_given_out_again_starts_anew():
    process = subprocess.Popen(["sh", "-c", "sleep 0.3; exit 3"])
    Children.ended[process.pid] = 0  # an orphan had the number before, and nobody asked for it
    assert not Children.has_ended(process.pid)
    process.returncode = Children.wait(process.pid, 10)
    assert process.returncode == 3


def test_an_ended_child_that_is_not_collected_yet_is_waited_for():
    process = subprocess.Popen(["sh", "-c", "exit 4"], stdout=subprocess.PIPE)
    process.stdout.read()  # it has ended, or is about to
    process.stdout.close()
    Children.ended[process.pid] = 0
    process.returncode = Children.wait(process.pid, 10)
    assert process.returncode == 4
