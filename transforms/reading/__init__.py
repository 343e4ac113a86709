"""Features that a job wrote, read: as a `tf.data` dataset; what every reader asks of a folder first."""
