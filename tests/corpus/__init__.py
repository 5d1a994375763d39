"""Transcripts that other programs left broken, one file each, named after the public issue that tells of it.

The contents are ours: the smallest rows that have the shape which the issue describes.
"""
