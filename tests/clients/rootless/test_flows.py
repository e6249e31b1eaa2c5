"""rootless podman, beyond a single run."""

import pytest

from ..flows import flows


@pytest.mark.parametrize("case", flows("rootless"), ids=lambda case: case.__name__)
def test_flow(cli, case):
    case(cli)
