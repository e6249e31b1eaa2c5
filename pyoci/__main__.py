"""`python -m pyoci`: the same as the command `pyoci`, by way of the isolated start that everything takes."""

import os
import sys

if __name__ == "__main__":
    boot = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot.py")
    os.execv(sys.executable, [sys.executable, "-I", "-S", boot, *sys.argv[1:]])
