"""Image classification: a sample is one encoded image, and its label the name of the folder that it lies in."""
