"""``python -m scripts.stack.init``: what has to be done before the stack's services start. May be repeated.

Checks the secrets, brings Airflow's database up to date, and makes the admin where there is none. Exit code 1, with a
line for each problem, where one of them can't be done.
"""

from __future__ import annotations

import os
import subprocess
import sys

from scripts.stack.env_file import complaints


def main() -> int:
    found = complaints(os.environ)
    if found:
        for complaint in found:
            say(f"{complaint}: run `make stack-env`")
        return 1
    say("bringing Airflow's database up to date")
    if airflow("db", "migrate"):
        say("the database can't be brought up to date: see above")
        return 1
    user, password = os.environ["AIRFLOW_ADMIN_USER"], os.environ["AIRFLOW_ADMIN_PASSWORD"]
    # Through standard input: among the arguments it could be read by every process of the machine.
    made = airflow(
        *("users", "create", "--username", user, "--role", "Admin"),
        *("--firstname", "Airflow", "--lastname", "Admin", "--email", f"{user}@localhost"),
        answers=f"{password}\n{password}\n",
    )
    if made:
        say(f"the user {user} can't be made: see above")
        return 1
    say("ready")
    return 0


def airflow(*arguments: str, answers: str = "") -> int:
    """Runs a command of Airflow's; its exit code."""
    command = [sys.executable, "-m", "airflow", *arguments]
    return subprocess.run(command, input=answers, text=True, check=False).returncode


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
