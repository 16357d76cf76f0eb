"""The commands of `dmm`: each file has the options, the call and the output of one command."""
