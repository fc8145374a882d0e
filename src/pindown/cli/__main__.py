"""``python -m pindown.cli`` is ``pindown``."""

from pindown.cli.app import main

if __name__ == "__main__":
    main()
