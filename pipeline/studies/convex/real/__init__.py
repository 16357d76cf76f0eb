"""Removals on real data: logistic regression, judged by distance, KLoM and U-LiRA."""
