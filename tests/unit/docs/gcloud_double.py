"""``gcloud`` as far as docs/google-cloud/setup.sh uses it: remembers what was made, in ``$GCLOUD_STATE``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

#: Words of a command → how many of the following words name what it is about.
_KNOWN = {
    ("services", "enable"): 0,
    ("storage", "buckets", "describe"): 1,
    ("storage", "buckets", "create"): 1,
    ("storage", "buckets", "add-iam-policy-binding"): 1,
    ("iam", "service-accounts", "describe"): 1,
    ("iam", "service-accounts", "create"): 1,
    ("iam", "service-accounts", "add-iam-policy-binding"): 1,
    ("iam", "roles", "describe"): 1,
    ("iam", "roles", "create"): 1,
    ("iam", "roles", "update"): 1,
    ("projects", "add-iam-policy-binding"): 1,
    ("projects", "describe"): 1,
    ("artifacts", "repositories", "describe"): 1,
    ("artifacts", "repositories", "create"): 1,
    ("artifacts", "repositories", "add-iam-policy-binding"): 1,
}


def main(arguments: list[str]) -> int:
    file = Path(os.environ["GCLOUD_STATE"])
    state = json.loads(file.read_text("utf-8")) if file.exists() else {"made": [], "granted": [], "apis": []}
    options = dict(word.lstrip("-").partition("=")[::2] for word in arguments if word.startswith("--"))
    words = [word for word in arguments if not word.startswith("--")]
    command = next(key for key in _KNOWN if tuple(words[: len(key)]) == key)
    named = words[len(command) :]
    verb, what = command[-1], " ".join([*command[:-1], *named]).split("@")[0]
    if command == ("services", "enable"):
        state["apis"] = sorted({*state["apis"], *named})
    elif verb == "describe" and command != ("projects", "describe"):
        return 0 if what in state["made"] else 1
    elif verb == "create":
        if what in state["made"]:
            sys.stderr.write(f"ERROR: {what} already exists\n")
            return 1
        state["made"].append(what)
    elif verb == "add-iam-policy-binding":
        grant = [" ".join(named), options["member"], options["role"]]
        if grant not in state["granted"]:
            state["granted"].append(grant)
    elif command == ("projects", "describe"):
        sys.stdout.write("1234567890\n")
    file.write_text(json.dumps(state), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
