"""Pictures for people: videos side by side, contact sheets, the table of a job."""
