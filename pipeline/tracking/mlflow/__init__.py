"""The tracker that writes to MLflow. Nothing else imports MLflow."""
