"""Groups of commands of the `ani3dhuman` command line."""
