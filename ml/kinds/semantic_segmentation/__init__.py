"""Semantic segmentation: a sample is an encoded image, and a mask that tells the class of each of its pixels."""
