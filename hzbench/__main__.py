"""`python -m hzbench`."""

from hzbench.cli import main

if __name__ == "__main__":
    main()
