"""Tasks that do something: a command on the model's side, a TFX component, a training run."""
