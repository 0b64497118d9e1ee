"""Read what is stored of runs, prove that it is whole, select runs, and change or delete them."""
