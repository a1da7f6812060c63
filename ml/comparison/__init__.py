"""Whether a candidate may replace the champion: the evidence on the same examples, and the decision."""
