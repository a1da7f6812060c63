#!/usr/bin/env python3
"""What git starts for ssh: the options come from the environment, one a line, so no shell has to split them."""

import os
import sys

if __name__ == "__main__":
    options = os.environ.pop("RESPAN_SSH_OPTIONS", "").splitlines()
    os.execvp("ssh", ["ssh", *options, *sys.argv[1:]])
