"""From a bundle to the plan of a container on this host: what create, run, restore and plan share."""

from pyoci.cgroup.driver import Cgroup
from pyoci.plan.make import make_plan
from pyoci.runtime.host import read_facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call
    from pyoci.config.types import Config
    from pyoci.plan.records import Plan
    from pyoci.runtime.bundle import Bundle


def planned(
    call: "Call",
    bundle: "Bundle",
    config: "Config",
    container_id: str,
    *,
    in_user_namespace: bool = False,
    keyring: bool = True,
) -> "Plan":
    """The plan, with its cgroup, of which nothing is made yet.  `config`: the bundle's, or what was made of it."""
    facts = read_facts()
    linux = config.get("linux", {})
    cgroup = Cgroup.for_container(
        facts.layout,
        linux.get("cgroupsPath"),
        container_id,
        linux.get("resources"),
        in_user_namespace=in_user_namespace,
        manager=call.cgroup_manager,
        annotations=config.get("annotations"),
    )
    return make_plan(
        config,
        facts,
        cgroup,
        container_id=container_id,
        bundle=bundle.path,
        rootfs=bundle.rootfs,
        no_pivot=bool(call.options.get("no_pivot")),
        keyring=keyring,
    )
