"""Are reproduced numbers still reproduced? Compares finished jobs, and shipped weights, with `results/expected`.

Two kinds of expectation, two kinds of tolerance: the same weights scored again must give the same counts. A training done
again must be within the interval that the seeds trained before predict.
"""
