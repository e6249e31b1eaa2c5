"""rootless podman run."""

import pytest

from ..run_cases import cases, name_of


@pytest.mark.parametrize("case", cases("rootless"), ids=name_of)
def test_run(cli, case):
    case.check(cli)
