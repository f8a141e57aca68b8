"""MileBench's twelve tasks on pictures we draw, written in its schema and read by its loader.

The drawer is held out: nothing here is shared with the pocket's own training pictures.
"""
