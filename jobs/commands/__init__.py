"""The commands of `dmm`: each file has the options, the call and the output of one command.

Only study_commands.py has several commands: one for each study, such as `dmm convex`.
"""
