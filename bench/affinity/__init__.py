"""How often asks meet the worker that has read their pictures, and what waiting for it costs."""
