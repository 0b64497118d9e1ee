"""What people change of runs on the server: checked, put into rows, stored."""
