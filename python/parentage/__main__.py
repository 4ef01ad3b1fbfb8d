"""Run the command line with ``python -m parentage``."""

from parentage.cli import main

if __name__ == "__main__":
    main()
