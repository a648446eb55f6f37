"""The compact prior: a small network on the displacement of cloth and hair, which ships with the package."""
