"""``python -m reluopt``."""

from reluopt.cli import main

if __name__ == "__main__":
    main()
