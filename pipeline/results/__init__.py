"""What is shown of an experiment, as plain values. They know neither store nor config."""
