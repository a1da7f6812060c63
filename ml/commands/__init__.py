"""The commands of ``python -m ml``, a module for each group. A module is imported when its command is called."""
