"""What a job costs: memory and disk by length and size, seconds a frame, and what a change computes again."""
