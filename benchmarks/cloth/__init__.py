"""How cloth holds where it is hard, and how fast it is: `make bench-cloth`; docs/benchmarks/cloth.md."""
