"""Threads that compete to create one file."""

import threading


def create_at_once(files):
    """Let eight threads create one file at the same moment, each with its number.

    Return the numbers of those who were told that they did.
    """
    barrier, won = threading.Barrier(8), []

    def create(number):
        barrier.wait()
        if files.create("decision", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won
