"""Semantic segmentation: a sample is an encoded image and its mask, an image of class ids of the same size."""
