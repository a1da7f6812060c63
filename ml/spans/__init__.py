"""Spans: from a frozen batch to sharded, compressed TFRecords that a training run reads.

``assignment`` decides which split a sample belongs to (pure); ``splits`` remembers it for ever; ``workspace``,
``shards`` and ``columns`` hold and write data; ``preparation`` does the work; ``documents`` reads what was published.
"""
