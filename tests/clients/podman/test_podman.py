"""What podman alone does."""

import pytest

from ..podman_files import FILES
from ..podman_flows import LIFE
from ..podman_rights import RIGHTS

CASES = [case for case in [*LIFE, *FILES, *RIGHTS] if "podman" not in case.without]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_podman(cli, case):
    case(cli)
