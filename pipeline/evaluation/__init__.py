"""Metrics that compare unlearned with retrained models: margins, KLoM, U-LiRA and accuracy."""
