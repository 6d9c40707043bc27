"""What the verbs do, in the words of the house. One module for each module of `harness.cli`."""
