"""How good the released model is on a batch: reads the predictions, decides a verdict, and reports it.

``records`` (what is reported), ``intervals``, ``verdict`` and ``next_step`` (what decides) are light; the other modules
run in TFX's environment.
"""
