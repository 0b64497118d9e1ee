"""The transactions of sweeps in the control database. The caller checks the rights of the user."""
