"""The warm process: TFX imported once, one forked child for each command.

Importing TFX takes 5 to 10 seconds, more than most commands need for their work. A *warm process* imports the
third-party packages and then does nothing but fork. Who wants ``python -m ml ARGV`` run asks it through a Unix socket
(:mod:`ml.warm.client`) and gets the same output, exit code and side effects as from a process of its own.

Processes, each the parent of the next::

    server      (server.py)   one per TFX environment and RESPAN_HOME; accepts, forks, reaps
    session     (session.py)  one per command; between client, server and worker, ends the command with any of them
    worker      (worker.py)   becomes the command: the caller's output, folder, environment; today's code of Respan

The server imports no module of ``ml`` that does the work, so a change of code needs no restart: each worker imports
``ml`` afresh. A change of TFX's environment gives the warm process another address (:mod:`ml.warm.address`).
"""
