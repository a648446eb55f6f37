"""How the compact prior learns: clips of true cloth over a rigid layer, flow matching, resumable training."""
