"""The convex case: problems with one minimum, where what unlearning comes to can be computed exactly and guarantees can be checked."""
