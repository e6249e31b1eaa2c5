"""The pid file of a container that fails after it was written."""

from types import SimpleNamespace

import pytest

from pyoci.errors import PyociError
from pyoci.runtime import restore, restoring


class Broken(restoring.Restoring):
    """A restored container of which nothing is there but the pid file."""

    def __init__(self, call):
        cgroup = SimpleNamespace(kill=lambda: None, to_record=dict, remove_levels_made=lambda: None)
        super().__init__(call, None, SimpleNamespace(cgroup=cgroup), None)
        self.init_pid = 7
        self.directory, self.record = None, SimpleNamespace(values={})


@pytest.mark.parametrize("written", [True, False])
def test_a_restore_that_fails_afterwards_removes_the_pid_file_it_wrote(tmp_path, monkeypatch, written):
    path = tmp_path / "pid"

    def refuse(*_):
        assert path.read_text() == ("7" if written else "8")
        raise PyociError("no")

    if not written:
        path.write_text("8")
        monkeypatch.setattr(restore, "write_pid_file", refuse)
    call = SimpleNamespace(
        options={"detach": False, "no_subreaper": True, "pid_file": str(path)}, log=SimpleNamespace(release=refuse)
    )
    monkeypatch.setattr(restore, "restored", Broken)
    monkeypatch.setattr(restore, "forward_signals", refuse)
    monkeypatch.setattr(restoring, "destroy", lambda *_: None)
    monkeypatch.setattr(restoring.interrupts, "ignore", lambda: None)
    with pytest.raises(PyociError, match="no"):
        restore.main(call)
    assert path.exists() is not written
