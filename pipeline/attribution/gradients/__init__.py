"""Estimators that need no subset models; they follow the gradients of trained models."""
