"""From predictions to scores with intervals: metrics, the score stage, the bootstrap.  Without torch."""
