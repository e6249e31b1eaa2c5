"""Code of the child: from the first moment in the container's namespaces to execve.

Rules of this room: everything is loaded before the fork and no import happens after it (a module imported
after the change of root would come from the image); no logging, no traceback, no exit handlers; errors go to
the parent as fields over the channel, and every path ends in execve or os._exit.
"""
