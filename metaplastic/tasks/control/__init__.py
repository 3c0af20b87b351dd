"""Classic control, with the equations of Gymnasium."""
