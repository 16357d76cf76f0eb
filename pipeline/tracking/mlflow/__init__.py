"""The tracker that writes to MLflow; nothing else imports MLflow."""
