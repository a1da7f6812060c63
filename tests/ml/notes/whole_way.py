"""Run by a test as a program: notes become a span, predictions and a job's instances below ROOT, and what was imported
of ``ml.kinds`` on the way is printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ml.prediction.batch import predict
from ml.prediction.instances import write_instances
from ml.spans.preparation import prepare
from tests.ml.notes.desk import Desk


def main(root: str) -> None:
    desk = Desk(Path(root))
    desk.release()
    for number in range(10):
        desk.write(str(number), f"note {number}", "a")
    batch = desk.freeze()
    span = prepare(desk.storage, desk.settings, batch)
    predicted = predict(desk.storage, desk.settings, batch).predicted
    given = write_instances(desk.storage, desk.settings, batch, 1).samples
    imported = sorted(name for name in sys.modules if name.startswith("ml.kinds"))
    print(json.dumps({"examples": span.train + span.eval, "predicted": predicted, "given": given, "kinds": imported}))


if __name__ == "__main__":
    main(sys.argv[1])
