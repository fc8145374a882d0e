"""``python -m pindown`` is ``pindown``."""

from pindown.cli.app import main

if __name__ == "__main__":
    main()
