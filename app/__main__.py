"""`python -m app` is the command `yolo9000`."""

from app.commands.cli import main

if __name__ == "__main__":
    main()
