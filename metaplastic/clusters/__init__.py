"""Launchers: text for schedulers, and the commands that hand it over."""
