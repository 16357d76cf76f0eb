"""Answers about finished tables and files: attribution, comparison, KLoM and exports."""
