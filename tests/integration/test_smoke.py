"""The harness itself: one container from start to end, and the probe's view of it."""


def test_run_gives_the_exit_status_of_the_program(run):
    assert run(args=["sh", "-c", "exit 7"]).code == 7


def test_the_probe_is_process_one_in_its_own_namespaces(inspect):
    report = inspect()
    assert report["pid"] == 1
    assert report["uname"]["nodename"] == "box"


def test_create_start_kill_delete(container):
    one = container().create()
    assert one.status() == "created"
    one.start()
    assert one.status() == "running"
    assert one.end() == 137
    assert one.status() == "stopped"
    one.delete().ok()
