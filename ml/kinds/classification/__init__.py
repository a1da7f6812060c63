"""What every kind of classifier shares, whatever a sample is: one object with one label, which is the name of the
folder that it lies in; accuracy as the metric."""
