"""The change of identity on kernels that know other capabilities than the table does."""

from errno import EINVAL

import pytest

from pyoci.errors import SyscallError
from pyoci.init import identity
from pyoci.kernel.process import PR_CAPBSET_DROP
from pyoci.tables.capabilities import NAMES


@pytest.fixture
def kernel(monkeypatch):
    """kernel(count) -> the list of capabilities that are dropped under a kernel with so many of them."""

    def make(count):
        dropped = []

        def prctl(option, number=0, *more, detail=""):
            assert option == PR_CAPBSET_DROP
            if number >= count:
                raise SyscallError(EINVAL, "prctl", detail)
            dropped.append(number)

        monkeypatch.setattr(identity, "prctl", prctl)
        return dropped

    return make


@pytest.mark.parametrize("count", [38, len(NAMES), len(NAMES) + 3, 63])
def test_all_that_the_kernel_knows_is_dropped_and_no_more_is_asked_for(kernel, count):
    """R-224: also a capability that is younger than this program."""
    dropped = kernel(count)
    identity._drop_bounding(1 << 5 | 1 << 10)
    assert dropped == [number for number in range(count) if number not in (5, 10)]


def test_another_refusal_of_the_kernel_is_an_error(monkeypatch):
    def prctl(*arguments, detail=""):
        raise SyscallError(1, "prctl", detail)

    monkeypatch.setattr(identity, "prctl", prctl)
    with pytest.raises(SyscallError):
        identity._drop_bounding(0)
