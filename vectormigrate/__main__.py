"""`python -m vectormigrate` is the command line."""

from vectormigrate.cli.main import run

if __name__ == "__main__":
    run()
