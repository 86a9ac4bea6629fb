"""How good a model is: tasks on pictures that are taken as the truth, baselines on the same samples, and the scores."""
