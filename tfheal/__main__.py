"""`python -m tfheal` is the same as `tfheal`."""

from tfheal.cli.main import main

if __name__ == "__main__":
    main()
