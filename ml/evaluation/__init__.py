"""How good the released model is on a batch: what is the same for every kind of model, from a kind's judgement (see
``judging``) to a verdict and a report.

``records`` (what is reported), ``judging``, ``intervals``, ``verdict`` and ``next_step`` (what decides) are light; the
other modules run in TFX's environment.
"""
