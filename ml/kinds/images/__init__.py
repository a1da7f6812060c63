"""What every kind of model on images shares: encoded images, checked and decoded; their statistics."""
