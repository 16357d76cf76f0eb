"""Where things are kept, watched and run: the store, the tracking server, the executors. Nothing here knows the method."""
