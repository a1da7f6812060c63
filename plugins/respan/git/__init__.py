"""Git on Airflow's side: a remote asked for a branch's head, its mirror, and the checkout of one revision."""

from respan.git.checkout import Checkout, ensure_checkout, own_checkout, remove_workspace

__all__ = ["Checkout", "ensure_checkout", "own_checkout", "remove_workspace"]
