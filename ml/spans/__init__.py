"""Spans: from a frozen batch to sharded, compressed TFRecords that a training run reads.

``assignment`` decides which split a sample belongs to (pure); ``splits`` remembers it for ever; ``workspace``,
``shards`` and ``columns`` hold and write data; ``preparation`` does the work; ``documents`` reads what was published.
``contents`` finds what later spans hold again, ``window_contents`` what is left of a window, and ``window_check``
whether that will do; ``damage`` is how a file that can't be read is reported.
"""
