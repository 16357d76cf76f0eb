"""The shown results of an experiment as plain values, independent of store and config."""
