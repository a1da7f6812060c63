"""Which folders of an inbox hold the objects of a role, and of a class."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

from ml.clutter import is_clutter
from ml.kinds.kind import Kind
from ml.labels import normal_label
from ml.storage import Storage


def role_folders(kind: Kind) -> list[str]:
    """The roles' folders, but for those that lie in another's."""
    every = list(dict.fromkeys(kind.roles.values()))
    return [f for f in every if not any(f != other and (not other or f.startswith(f"{other}/")) for other in every)]


def role_folders_there(inbox: Storage, kind: Kind) -> list[str]:
    """Those that are in ``inbox``: a file or a link in the place of one is an object like any other."""
    folders = role_folders(kind)
    there = set(inbox.folders()) if any(folders) else set()
    return [folder for folder in folders if not folder or folder.split("/")[0] in there]


class ClassFolders:
    """The folders of classes as they are there: one class may have several, whose names differ in form only (see
    ``ml.labels``). Each folder above them is listed once."""

    def __init__(self, inbox: Storage, kind: Kind) -> None:
        self._inbox = inbox
        self._roles = role_folders_there(inbox, kind)
        self._forms = cache(self._list_forms)

    def names(self) -> list[str]:
        """The class folders in the first role's, each by its one form."""
        return list(self._forms(self._roles[0])) if self._roles else []

    def of(self, folder: str) -> list[str]:
        """Every folder that is the class folder ``folder`` of a role, relative to the inbox; ``""``: the roles' own."""
        if not folder:
            return self._roles
        parent, _, name = folder.rpartition("/")
        return [
            _below(_below(role, parent), form)
            for role in self._roles
            for form in self._forms(_below(role, parent)).get(normal_label(name), ())
        ]

    def _list_forms(self, above: str) -> dict[str, list[str]]:
        forms: dict[str, list[str]] = defaultdict(list)
        for name in self._inbox.folders(above):
            if not is_clutter(name):
                forms[normal_label(name)].append(name)
        return dict(forms)


def _below(folder: str, name: str) -> str:
    return "/".join(filter(None, (folder, name)))
