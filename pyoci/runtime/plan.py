"""`pyoci plan`: print what `create` and `start` would do, in order, without root and without touching anything."""

from pyoci.cgroup.driver import Cgroup
from pyoci.plan.make import make_plan
from pyoci.plan.render import render
from pyoci.runtime.bundle import open_bundle
from pyoci.runtime.host import read_facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Print the plan of the bundle."""
    options = call.options
    bundle = open_bundle(options["bundle"], call.log.warning, systemd=call.systemd_cgroup)
    facts = read_facts()
    container_id = call.arguments[0] if call.arguments else "ID"
    linux = bundle.config.get("linux", {})
    cgroup = Cgroup.for_container(
        facts.layout,
        linux.get("cgroupsPath"),
        container_id,
        linux.get("resources"),
        manager=call.cgroup_manager,
        annotations=bundle.config.get("annotations"),
    )
    plan = make_plan(
        bundle.config,
        facts,
        cgroup,
        container_id=container_id,
        bundle=bundle.path,
        rootfs=bundle.rootfs,
        no_pivot=bool(options.get("no_pivot")),
    )
    call.write(render(plan))
    return 0
