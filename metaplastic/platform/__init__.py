"""Joins the rooms: experiments, evaluation, executors, runs, reports."""
