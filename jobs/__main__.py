"""`python -m jobs` runs `dmm`."""

import gc


def main() -> None:
    """Run `dmm`.

    The garbage collector is off during the imports, and later skips the imported objects, because they live
    until the end. Examining them took a fifth of the 2.5 s of a command that computes nothing.
    """
    gc.disable()
    from jobs import cli

    gc.freeze()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
