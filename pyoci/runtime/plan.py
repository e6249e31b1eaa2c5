"""`pyoci plan`: print what `create` and `start` would do, in order, without root and without touching anything."""

from pyoci.plan.render import render
from pyoci.runtime.bundle import open_bundle
from pyoci.runtime.planned import planned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Print the plan of the bundle."""
    options = call.options
    bundle = open_bundle(options["bundle"], call.log.warning, systemd=call.systemd_cgroup)
    container_id = call.arguments[0] if call.arguments else "ID"
    plan = planned(call, bundle, bundle.config, container_id)
    call.write(render(plan))
    return 0
