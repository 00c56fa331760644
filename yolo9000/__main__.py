"""`python -m yolo9000` is the command `yolo9000`."""

from yolo9000.commands.cli import main

if __name__ == "__main__":
    main()
