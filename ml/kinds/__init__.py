"""What differs between kinds of model, one package each: how a sample lies in the inbox, how it becomes an example, how
a prediction is scored and reported. Everything else in ``ml`` is the same for every kind.

A kind's package has ``samples`` (light) and heavy modules beside it.
"""
