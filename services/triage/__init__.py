"""Reads a recording and says how urgent it is."""
