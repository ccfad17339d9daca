"""The daemon: wiring, start order, stop order, signals, exit codes."""


def main() -> None:
    """Run the hookfuse command."""
