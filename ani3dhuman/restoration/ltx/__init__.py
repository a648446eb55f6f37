"""LTX-Video, the example of docs/extending.md. Read `prior` (what it computes), then `loader` (from folder or request)."""
