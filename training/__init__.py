"""How the compact prior that ships was made: simulated clips, then flow matching."""
