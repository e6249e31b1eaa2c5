"""For all tests."""

import signal

# A shell starts its background jobs with SIGINT and SIGQUIT ignored, which every program that they start inherits:
# Python then leaves it so, and nothing that is told of interrupts would be seen.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
