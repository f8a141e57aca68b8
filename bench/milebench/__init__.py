"""MileBench read, asked and scored the way its authors do; the data itself is never shipped."""
