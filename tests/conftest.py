"""For all tests."""

import signal

# A shell starts its background jobs with SIGINT and SIGQUIT ignored, nohup with SIGHUP, and every program that they
# start inherits it: Python then leaves it so, and nothing that is told of these signals would be seen.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
