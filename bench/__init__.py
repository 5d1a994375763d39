"""The load that a core carries: measures Baton beside what a team would write in an afternoon, and beside the floor."""
