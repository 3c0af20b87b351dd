"""Analyses of any recording: numpy arrays in and out, time first. S seeds, T trials or steps, E episodes, N units."""
